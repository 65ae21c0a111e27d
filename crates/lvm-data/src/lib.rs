//! Tables in and out for latent-variable models: CSV, NumPy files, model files, and small real data sets with their licence.
