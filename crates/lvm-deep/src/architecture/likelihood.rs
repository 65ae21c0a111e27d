//! Densities p(x | z), as data.

use crate::error::{Error, Result};
use crate::likelihood::{self, Block, Dispersion, Library, Likelihood, Scale, Unit, gaussian::Variance};
use crate::parameters::Scope;
use serde::{Deserialize, Serialize};

/// Densities p(x | z).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LikelihoodSpec {
    /// Normal.
    Gaussian(Variance),
    /// Normal in units of the columns' standard deviations, or of one for the table: for data whose columns are not of order one.
    StandardisedGaussian {
        /// Where the variance comes from, in those units.
        variance: Variance,
        /// What columns are divided by.
        #[serde(default)]
        unit: Unit,
    },
    /// Zeros and ones.
    Bernoulli,
    /// Codes 0 … codes − 1 in every column.
    Categorical {
        /// K.
        codes: i64,
    },
    /// Counts without overdispersion.
    Poisson {
        /// The size of a row.
        #[serde(default)]
        library: Library,
    },
    /// Overdispersed counts.
    NegativeBinomial {
        /// Where θ comes from.
        #[serde(default)]
        dispersion: Dispersion,
        /// The size of a row.
        #[serde(default)]
        library: Library,
    },
    /// Overdispersed counts, some of which were lost.
    ZeroInflatedNegativeBinomial {
        /// Where θ comes from.
        #[serde(default)]
        dispersion: Dispersion,
        /// The size of a row.
        #[serde(default)]
        library: Library,
    },
    /// Grey levels 0, 1/(levels − 1), …, 1.
    DiscretizedLogistic {
        /// G, 256 for bytes divided by 255.
        levels: i64,
        /// Where s comes from.
        #[serde(default)]
        scale: Scale,
    },
    /// Bags of words.
    Multinomial,
    /// Columns of different kinds.
    Mixed(Vec<BlockSpec>),
}

/// What the numbers p(x) are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Densities of real numbers.
    Density,
    /// Probabilities of counts or codes.
    Probability,
    /// Of some columns this, of others that.
    Both,
}

/// Some columns of a table with their density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockSpec {
    /// The columns, from 0.
    pub columns: Vec<i64>,
    /// Their density.
    pub likelihood: LikelihoodSpec,
}

impl LikelihoodSpec {
    /// The density of `columns` columns.
    ///
    /// # Errors
    /// If a setting is outside its range or blocks do not share out the columns.
    pub fn build(&self, scope: &mut Scope<'_>, columns: i64) -> Result<Box<dyn Likelihood>> {
        Ok(match self {
            LikelihoodSpec::Gaussian(variance) => Box::new(likelihood::Gaussian::new(scope, columns, *variance)?),
            LikelihoodSpec::StandardisedGaussian { variance, unit } => {
                let inner = Box::new(likelihood::Gaussian::new(scope, columns, *variance)?);
                Box::new(likelihood::Standardised::new(scope, columns, inner, *unit)?)
            }
            LikelihoodSpec::Bernoulli => Box::new(likelihood::Bernoulli { columns }),
            LikelihoodSpec::Categorical { codes } if *codes < 2 => {
                return Err(Error::config("codes", format!("is {codes}; a column of codes needs at least 2")));
            }
            LikelihoodSpec::Categorical { codes } => Box::new(likelihood::Categorical { columns, codes: *codes }),
            LikelihoodSpec::Poisson { library } => Box::new(likelihood::Poisson { columns, library: *library }),
            LikelihoodSpec::NegativeBinomial { dispersion, library } => {
                Box::new(likelihood::NegativeBinomial::new(scope, columns, *dispersion, *library)?)
            }
            LikelihoodSpec::ZeroInflatedNegativeBinomial { dispersion, library } => {
                Box::new(likelihood::ZeroInflated::new(scope, columns, *dispersion, *library)?)
            }
            LikelihoodSpec::DiscretizedLogistic { levels, scale } => {
                Box::new(likelihood::DiscretizedLogistic::new(scope, columns, *levels, *scale)?)
            }
            LikelihoodSpec::Multinomial => Box::new(likelihood::Multinomial { columns }),
            LikelihoodSpec::Mixed(blocks) => {
                let build = |(b, block): (usize, &BlockSpec)| {
                    if block.likelihood.library() == Library::Latent {
                        return Err(Error::config("mixed", "a block can't have a latent library: give it as condition, or leave it out"));
                    }
                    let likelihood = block.likelihood.build(&mut scope.at(&b.to_string()), block.columns.len() as i64)?;
                    Ok(Block { columns: block.columns.clone(), likelihood })
                };
                Box::new(likelihood::Mixed::new(columns, blocks.iter().enumerate().map(build).collect::<Result<_>>()?)?)
            }
        })
    }

    /// In a few words.
    pub fn name(&self) -> String {
        let variance = |variance: &Variance| match variance {
            Variance::Fixed(_) => "fixed variance",
            Variance::Shared => "one variance",
            Variance::Columns => "a variance for each column",
            Variance::Entries => "a variance for each entry",
        };
        match self {
            LikelihoodSpec::Gaussian(of) => format!("gaussian, {}", variance(of)),
            LikelihoodSpec::StandardisedGaussian { variance: of, .. } => format!("gaussian of standardised columns, {}", variance(of)),
            LikelihoodSpec::Bernoulli => "bernoulli".to_owned(),
            LikelihoodSpec::Categorical { codes } => format!("categorical, {codes} codes"),
            LikelihoodSpec::Poisson { .. } => "poisson".to_owned(),
            LikelihoodSpec::NegativeBinomial { .. } => "negative binomial".to_owned(),
            LikelihoodSpec::ZeroInflatedNegativeBinomial { .. } => "zero-inflated negative binomial".to_owned(),
            LikelihoodSpec::DiscretizedLogistic { levels, .. } => format!("discretized logistic, {levels} levels"),
            LikelihoodSpec::Multinomial => "multinomial".to_owned(),
            LikelihoodSpec::Mixed(blocks) => {
                format!("mixed: {}", blocks.iter().map(|b| b.likelihood.name()).collect::<Vec<_>>().join("; "))
            }
        }
    }

    /// Of what log p(x) is the logarithm: only numbers of one measure can be compared.
    ///
    /// ```
    /// use lvm_deep::architecture::{BlockSpec, LikelihoodSpec, Measure};
    /// let counts = LikelihoodSpec::Mixed(vec![BlockSpec { columns: vec![0], likelihood: LikelihoodSpec::Bernoulli }]);
    /// assert!(counts.is_discrete() && counts.measure() == Measure::Probability);
    /// ```
    pub fn measure(&self) -> Measure {
        match self {
            LikelihoodSpec::Gaussian(_) | LikelihoodSpec::StandardisedGaussian { .. } => Measure::Density,
            LikelihoodSpec::Mixed(blocks) => {
                let of: Vec<Measure> = blocks.iter().map(|b| b.likelihood.measure()).collect();
                let all = |measure| of.iter().all(|m| *m == measure);
                match (all(Measure::Probability), all(Measure::Density)) {
                    (true, _) => Measure::Probability,
                    (_, true) => Measure::Density,
                    _ => Measure::Both,
                }
            }
            _ => Measure::Probability,
        }
    }

    /// Whether p(x | z) is a probability of counts or codes and no density.
    pub fn is_discrete(&self) -> bool {
        self.measure() == Measure::Probability
    }

    /// The size of a row, for counts.
    pub fn library(&self) -> Library {
        match self {
            LikelihoodSpec::Poisson { library }
            | LikelihoodSpec::NegativeBinomial { library, .. }
            | LikelihoodSpec::ZeroInflatedNegativeBinomial { library, .. } => *library,
            _ => Library::None,
        }
    }
}
