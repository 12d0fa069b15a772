/** @file Statistics of small samples, under the names that the project uses. */
export { mean, median, quantile, sampleRankCorrelation as spearman } from "simple-statistics";
