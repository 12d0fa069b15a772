/**
 * @file Imported before ONNX Runtime: its packages upload usage events and keep a device identifier since 1.29 unless this variable is
 * set. Whoever wants them sets it to 0.
 */
process.env.ORT_DISABLE_TELEMETRY ??= "1";
