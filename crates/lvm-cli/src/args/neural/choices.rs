//! Words for the parts of a neural model and its training.

use clap::ValueEnum;

/// Functions between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationChoice {
    /// max(0, a)
    Relu,
    /// tanh a
    Tanh,
    /// log(1 + exp a)
    Softplus,
    /// 1/(1 + exp(-a))
    Sigmoid,
    /// a times the normal distribution function
    Gelu,
    /// a times the sigmoid
    Silu,
    /// a above 0, exp(a) - 1 below
    Elu,
}

/// Nets of encoder and decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetChoice {
    /// Layers of the widths --hidden
    Mlp,
    /// Convolutions over images (--image, --channels)
    Conv,
    /// Gated recurrent units over sequences (--tokens or --step-columns)
    Gru,
    /// Long short-term memory over sequences
    Lstm,
    /// A transformer over sequences
    Attention,
}

/// What the encoder sees of x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputChoice {
    /// x itself
    Plain,
    /// (x - mean)/sd of the training columns
    Standardised,
    /// log(1 + x), for counts
    Log1p,
}

/// Densities p(x | z).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LikelihoodChoice {
    /// Normal, a variance for each column
    Gaussian,
    /// Normal, one variance for all columns
    GaussianShared,
    /// Normal, a variance for each entry, by the decoder
    GaussianEntries,
    /// Zeros and ones
    Bernoulli,
    /// Codes 0, 1, 2, ... in every column
    Categorical,
    /// Counts
    Poisson,
    /// Overdispersed counts
    NegativeBinomial,
    /// Overdispersed counts, some of them lost; the size of a row is its sum
    Zinb,
    /// Bags of words
    Multinomial,
    /// Grey levels 0, 1/255, ..., 1 (see --scale)
    DiscretizedLogistic,
}

/// Where the dispersion of counts, or the scale of grey levels, comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DispersionChoice {
    /// One number
    Shared,
    /// A number for each column
    Columns,
    /// A number for each entry, by the decoder
    Entries,
}

/// Families of q(z | x).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PosteriorChoice {
    /// A Gaussian with diagonal covariance
    Diagonal,
    /// A Gaussian with full covariance
    FullCovariance,
    /// A diagonal Gaussian through planar flows (--flow-steps)
    Planar,
    /// A diagonal Gaussian through inverse autoregressive flows (--flow-steps, --flow-hidden)
    InverseAutoregressive,
    /// Two layers of latents (--upper)
    Hierarchical,
    /// One of L values: groups of rows
    Categorical,
}

/// Densities p(z).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorChoice {
    /// N(0, I)
    StandardNormal,
    /// A mixture of Gaussians (--prior-components)
    Mixture,
    /// The mean of q at pseudo-inputs (--prior-components)
    Vamp,
    /// N(0, I) through a flow (--flow-steps, --flow-hidden)
    Flow,
    /// Two layers of latents (--upper)
    Hierarchical,
    /// One of L values
    Categorical,
}

/// What is maximised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectiveChoice {
    /// The evidence lower bound
    Elbo,
    /// The importance-weighted bound of --draws draws
    Iwae,
    /// The evidence lower bound by gradients of log q alone
    ScoreFunction,
    /// The evidence lower bound of a discrete latent, relaxed
    GumbelSoftmax,
    /// log p(x | z) at the mode of q: the plain autoencoder, no bound
    Autoencoder,
}

/// How the KL term is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KlChoice {
    /// In closed form where there is one
    Analytic,
    /// By the draws of the likelihood
    Draws,
    /// By draws with log q held: no noise where q is the posterior
    StickingTheLanding,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleChoice {
    /// --rate throughout
    Constant,
    /// From --rate to --final-rate along half a cosine
    Cosine,
    /// From --rate to --final-rate by the same factor every epoch
    Exponential,
    /// 10^(-3 - i/7) for 3^i epochs, i = 0, 1, ...
    Burda,
}
