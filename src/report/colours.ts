/** @file Colours that can be told apart in light, in dark, and by the colour-blind. Source: Observable's ten-colour palette. */
export const COLOURS = {
  blue: "#4269d0",
  orange: "#efb118",
  red: "#ff725c",
  green: "#3ca951",
  grey: "#9498a0",
} as const;
