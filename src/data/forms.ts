/** @file The names of data sets, for help texts that should not load an image library. */
export const dataForms = "fashion-mnist, idx:DIR, cifar10:DIR or images:DIR";
