//! Verification of latent-variable models against exact truths: checks as data, reports as table, JSON and HTML.
