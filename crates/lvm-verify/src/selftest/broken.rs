//! Implementers that are broken on purpose, one published bug each.

use super::twin::{self, Switch};
use crate::layers::files::with_version;
use crate::subject::{Latents, Subject};
use lvm_core::criteria::Criteria;
use lvm_core::fa::{FaMl, FactorAnalysis};
use lvm_core::file::{self, Header, Model};
use lvm_core::fit::Fitted;
use lvm_core::gmm::{GaussianMixture, GmmEm, Start};
use lvm_core::model::{Evidence, Infer, LatentModel};
use lvm_core::ppca::{Ppca, PpcaEm, PpcaMl};
use lvm_core::rows::{Missing, RowSource};
use lvm_core::{ErrorKind, Result};
use ndarray::{Array1, Array2, Axis};
use std::sync::atomic::{AtomicU64, Ordering};

/// What is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    /// In mixture EM, by the naive twin.
    Em(Switch),
    /// D log 2π left out of mixture densities.
    TwoPiOmitted,
    /// log Σ exp without subtracting the maximum.
    NaiveLogSumExp,
    /// BIC with mclust's sign.
    BicSign,
    /// K mixing weights counted as free instead of K − 1.
    CountsAllWeights,
    /// ICL with the entropy once instead of twice.
    HalfEntropy,
    /// Components returned in another order than their start's.
    SortedComponents,
    /// NaN read as 0.
    NanIsZero,
    /// Missing entries filled with the column's mean before scoring.
    MeanFilled,
    /// The seed mixed with the number of threads.
    SeedByThread,
    /// A seed from a counter instead of the one given.
    OwnSeed,
    /// A resumed fit that takes one more hidden step.
    ResumeForgets,
    /// PPCA: σ² as the discarded variance over D instead of D − q.
    NoiseOverD,
    /// PPCA: eigenvalues of the N − 1 covariance.
    UnbiasedScatter,
    /// PPCA: columns scaled by √λ instead of √(λ − σ²).
    UnshrunkLoadings,
    /// PPCA: E[z|x] = Wᵀ(x − μ)/σ², without M⁻¹.
    PosteriorWithoutM,
    /// PPCA: Cov[z|x] = M⁻¹, without σ².
    CovarianceWithoutNoise,
    /// PPCA: rotation of the latents counted as free parameters.
    CountsRotation,
    /// PPCA EM: one iteration too few.
    ShortEm,
    /// FA: uniquenesses not divided by the variance.
    RawUniquenesses,
    /// FA: the improper solution is not reported.
    SilentHeywood,
    /// FA: ψ floored at a tenth of the variance.
    HighFloor,
    /// FA: Bartlett's scores passed off as posterior means.
    BartlettAsPosterior,
    /// FA: the mean's D parameters not counted.
    MeanNotCounted,
    /// A constant column or a repeated row is jittered and the answer returned as if it were regular.
    SilentJitter,
    /// Model files: the version is not looked at.
    VersionIgnored,
    /// Model files: the noise of PPCA written as f32.
    SinglePrecisionFile,
    /// Model files: what can't be read is replaced by a standard model.
    UnreadableReplaced,
}

/// The library with one thing broken.
#[derive(Debug)]
pub(super) struct Broken {
    /// What is planted.
    pub(super) plant: Plant,
    calls: AtomicU64,
}

impl Broken {
    /// The library with `plant` in it.
    pub(super) fn new(plant: Plant) -> Self {
        Broken { plant, calls: AtomicU64::new(0) }
    }

    fn seed(&self, seed: u64) -> u64 {
        match self.plant {
            Plant::SeedByThread => seed + rayon::current_num_threads() as u64,
            Plant::OwnSeed => self.calls.fetch_add(1, Ordering::Relaxed),
            _ => seed,
        }
    }
}

/// A table with its cells changed on the way.
struct Changed<'a> {
    source: &'a dyn RowSource,
    change: fn(f64) -> f64,
}

impl RowSource for Changed<'_> {
    fn n_rows(&self) -> usize {
        self.source.n_rows()
    }
    fn n_cols(&self) -> usize {
        self.source.n_cols()
    }
    fn read(&self, start: usize, mut out: ndarray::ArrayViewMut2<'_, f64>) -> Result<()> {
        self.source.read(start, out.view_mut())?;
        out.mapv_inplace(self.change);
        Ok(())
    }
    fn weights(&self) -> Option<ndarray::ArrayView1<'_, f64>> {
        self.source.weights()
    }
    fn missing(&self) -> Missing {
        self.source.missing()
    }
}

/// The table in memory, missing entries replaced by the mean of their column's others.
fn mean_filled(data: &dyn RowSource) -> Result<Array2<f64>> {
    let mut x = all_rows(data)?;
    for mut column in x.columns_mut() {
        let known: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
        let mean = if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        column.mapv_inplace(|v| if v.is_nan() { mean } else { v });
    }
    Ok(x)
}

fn all_rows(data: &dyn RowSource) -> Result<Array2<f64>> {
    let mut x = Array2::zeros((data.n_rows(), data.n_cols()));
    data.read(0, x.view_mut())?;
    Ok(x)
}

/// The table with a little noise of its own on every cell.
fn jittered(data: &dyn RowSource) -> Result<Array2<f64>> {
    let mut x = all_rows(data)?;
    x.indexed_iter_mut().for_each(|((i, j), v)| *v += 1e-3 * ((17 * i + 5 * j) as f64).sin());
    Ok(x)
}

impl Subject for Broken {
    fn name(&self) -> &str {
        "a deliberately broken library"
    }

    fn fit_mixture(&self, algorithm: &GmmEm, data: &dyn RowSource, seed: u64) -> Result<Fitted<GaussianMixture>> {
        let seed = self.seed(seed);
        match (self.plant, &algorithm.start) {
            (Plant::Em(switch), Start::Responsibilities(r)) => {
                twin::fit(data, r, algorithm.covariance, algorithm.stopping.max_iterations, switch)
            }
            (Plant::NanIsZero, _) => algorithm.fit(&Changed { source: data, change: |v| if v.is_nan() { 0.0 } else { v } }, seed),
            (Plant::SilentJitter, _) => {
                let mut fitted = algorithm.fit(&jittered(data)?, seed)?;
                fitted.repairs.clear();
                Ok(fitted)
            }
            (Plant::ResumeForgets, Start::Parameters(_)) => {
                let mut more = algorithm.clone();
                more.stopping.max_iterations += 1;
                let mut fitted = more.fit(data, seed)?;
                fitted.trace.remove(0);
                Ok(fitted)
            }
            (Plant::SortedComponents, _) => {
                let mut fitted = algorithm.fit(data, seed)?;
                let m = &fitted.model;
                let mut order: Vec<usize> = (0..m.n_components()).collect();
                order.sort_by(|a, b| m.weights()[*b].total_cmp(&m.weights()[*a]));
                let sorted =
                    GaussianMixture::new(m.weights().select(Axis(0), &order), m.means().select(Axis(0), &order), m.covariances().clone())?;
                fitted.model = sorted;
                Ok(fitted)
            }
            _ => algorithm.fit(data, seed),
        }
    }

    fn mixture_evidence(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Array1<f64>> {
        match self.plant {
            Plant::TwoPiOmitted => Ok(model.log_evidence(data)? + model.dim() as f64 * 0.5 * (2.0 * std::f64::consts::PI).ln()),
            Plant::NaiveLogSumExp => Ok(model.log_evidence(data)?.mapv(|v| v.exp().ln())),
            Plant::MeanFilled => model.log_evidence(&mean_filled(data)?),
            _ => model.log_evidence(data),
        }
    }

    fn mixture_criteria(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<Criteria> {
        let c = model.criteria(data)?;
        Ok(if self.plant == Plant::CountsAllWeights { Criteria { n_parameters: c.n_parameters + 1, ..c } } else { c })
    }

    fn icl(&self, model: &GaussianMixture, data: &dyn RowSource) -> Result<f64> {
        let icl = model.icl(data)?;
        Ok(if self.plant == Plant::HalfEntropy { 0.5 * (icl + model.criteria(data)?.bic()) } else { icl })
    }

    fn bic(&self, criteria: &Criteria) -> f64 {
        if self.plant == Plant::BicSign { -criteria.bic() } else { criteria.bic() }
    }

    fn fit_ppca(&self, algorithm: &PpcaMl, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        let fitted = algorithm.fit(data, self.seed(seed))?;
        let m = &fitted.model;
        let (d, q, n) = (m.dim() as f64, m.components() as f64, data.n_rows() as f64);
        let model = match self.plant {
            Plant::NoiseOverD => Ppca::new(m.mean().clone(), m.loadings().clone(), m.noise_variance() * (d - q) / d)?,
            Plant::UnbiasedScatter => {
                let f = n / (n - 1.0);
                Ppca::new(m.mean().clone(), m.loadings() * f.sqrt(), m.noise_variance() * f)?
            }
            Plant::UnshrunkLoadings => {
                let mut w = m.loadings().clone();
                for mut column in w.columns_mut() {
                    let square = column.dot(&column);
                    column *= ((square + m.noise_variance()) / square).sqrt();
                }
                Ppca::new(m.mean().clone(), w, m.noise_variance())?
            }
            _ => return Ok(fitted),
        };
        Ok(fitted.map(|_| model))
    }

    fn fit_ppca_em(&self, algorithm: &PpcaEm, data: &dyn RowSource, seed: u64) -> Result<Fitted<Ppca>> {
        let mut algorithm = algorithm.clone();
        if self.plant == Plant::ShortEm {
            algorithm.stopping.max_iterations -= 1;
        }
        algorithm.fit(data, self.seed(seed))
    }

    fn ppca_evidence(&self, model: &Ppca, data: &dyn RowSource) -> Result<Array1<f64>> {
        match self.plant {
            Plant::MeanFilled => model.log_evidence(&mean_filled(data)?),
            _ => model.log_evidence(data),
        }
    }

    fn ppca_posterior(&self, model: &Ppca, data: &dyn RowSource) -> Result<Latents> {
        let q = model.infer(data)?;
        let mut out = Latents { mean: q.mean().clone(), covariance: q.covariance(0).to_owned() };
        match self.plant {
            Plant::PosteriorWithoutM => out.mean = (&all_rows(data)? - model.mean()).dot(model.loadings()) / model.noise_variance(),
            Plant::CovarianceWithoutNoise => out.covariance /= model.noise_variance(),
            _ => {}
        }
        Ok(out)
    }

    fn ppca_criteria(&self, model: &Ppca, data: &dyn RowSource) -> Result<Criteria> {
        let c = model.criteria(data)?;
        let rotation = model.components() * (model.components() - 1) / 2;
        Ok(if self.plant == Plant::CountsRotation { Criteria { n_parameters: c.n_parameters + rotation, ..c } } else { c })
    }

    fn fit_factors(&self, algorithm: &FaMl, data: &dyn RowSource, seed: u64) -> Result<Fitted<FactorAnalysis>> {
        let mut algorithm = algorithm.clone();
        if self.plant == Plant::HighFloor {
            algorithm.floor = 0.1;
        }
        let mut fitted = algorithm.fit(data, self.seed(seed))?;
        if matches!(self.plant, Plant::SilentHeywood | Plant::HighFloor) {
            fitted.repairs.clear();
        }
        Ok(fitted)
    }

    fn uniquenesses(&self, model: &FactorAnalysis) -> Array1<f64> {
        if self.plant == Plant::RawUniquenesses { model.noise_variances().clone() } else { model.uniquenesses() }
    }

    fn factor_evidence(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Array1<f64>> {
        match self.plant {
            Plant::MeanFilled => model.log_evidence(&mean_filled(data)?),
            _ => model.log_evidence(data),
        }
    }

    fn factor_posterior(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Latents> {
        let q = model.infer(data)?;
        let covariance = q.covariance(0).to_owned();
        let mean = if self.plant == Plant::BartlettAsPosterior { model.bartlett_scores(data)?.scores } else { q.mean().clone() };
        Ok(Latents { mean, covariance })
    }

    fn factor_criteria(&self, model: &FactorAnalysis, data: &dyn RowSource) -> Result<Criteria> {
        let c = model.criteria(data)?;
        match self.plant {
            Plant::MeanNotCounted => {
                let n_parameters = c.n_parameters.checked_sub(model.dim()).ok_or(ErrorKind::Empty)?;
                Ok(Criteria { n_parameters, ..c })
            }
            _ => Ok(c),
        }
    }

    fn encode(&self, model: &Model, header: &Header) -> Result<Vec<u8>> {
        match (self.plant, model) {
            (Plant::SinglePrecisionFile, Model::Ppca(m)) => {
                let rounded = Ppca::new(m.mean().clone(), m.loadings().clone(), f64::from(m.noise_variance() as f32))?;
                file::encode(&rounded.into(), header)
            }
            _ => file::encode(model, header),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Result<(Model, Header)> {
        match self.plant {
            Plant::VersionIgnored => match with_version(bytes, b'1') {
                Some(changed) => file::decode(&changed),
                None => file::decode(bytes),
            },
            Plant::UnreadableReplaced => file::decode(bytes).or_else(|_| {
                let standard = Ppca::new(Array1::zeros(4), Array2::zeros((4, 1)), 1.0)?;
                Ok((standard.into(), Header::default()))
            }),
            _ => file::decode(bytes),
        }
    }
}
