//! Laws, finite differences and goodness of fit for testing latent-variable models.
