//! What a picture is made from: a model of any family that can answer, and what its rows are.

use crate::args::{DataArgs, KindArgs, ModelArgs, RowKind};
use crate::failure::{Failure, Outcome};
use crate::input::Input;
use crate::stored::{self, Model, Stored};

/// A model of any family.
pub(super) enum Source {
    Exact(Box<Stored>),
    #[cfg(feature = "deep")]
    Neural(Box<crate::commands::neural::Neural>),
}

impl Source {
    pub(super) fn load(args: &ModelArgs) -> Outcome<Self> {
        #[cfg(feature = "deep")]
        if stored::is_neural(&args.model) {
            return Ok(Source::Neural(Box::new(crate::commands::neural::Neural::load(&args.model, &args.neural)?)));
        }
        let stored = stored::load(&args.model)?;
        #[cfg(feature = "deep")]
        stored.refuse(&[("--condition-from", args.neural.condition_from.is_some())])?;
        Ok(Source::Exact(Box::new(stored)))
    }

    pub(super) fn path(&self) -> &str {
        match self {
            Source::Exact(stored) => &stored.path,
            #[cfg(feature = "deep")]
            Source::Neural(neural) => &neural.path,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Source::Exact(stored) => stored.family().name(),
            #[cfg(feature = "deep")]
            Source::Neural(_) => "vae",
        }
    }

    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Source::Exact(stored) => stored.columns(),
            #[cfg(feature = "deep")]
            Source::Neural(neural) => neural.columns(),
        }
    }

    /// The table with a column of labels, its columns matched to the model's.
    pub(super) fn input(&self, args: &DataArgs, labels: Option<&str>) -> Outcome<Input> {
        match self {
            Source::Exact(stored) => Input::labelled(args, &stored.path, &stored.columns(), labels),
            #[cfg(feature = "deep")]
            Source::Neural(neural) => neural.labelled(args, labels),
        }
    }

    /// What a row is: as was said, as the decoder has it, or as the columns look.
    pub(super) fn kind(&self, args: &KindArgs) -> Outcome<Kind> {
        let columns = self.columns();
        let typed = match args.image.as_deref() {
            None => None,
            Some(&[c @ (1 | 3), h, w]) if c * h * w == columns.len() => Some((c, h, w)),
            Some(list) => {
                let message = format!(
                    "--image {}: channels (1 or 3), height and width are needed, which make up the {} columns of {}",
                    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                    columns.len(),
                    self.path()
                );
                return Err(Failure::usage(message));
            }
        };
        if let Some(shape) = typed {
            return Ok(Kind::Images(shape));
        }
        let own = self.own_kind()?;
        Ok(match (args.kind, own) {
            (None, Some(own)) => own,
            (None, None) => square(columns.len()).filter(|_| alike(&columns)).map_or(Kind::Table, Kind::Images),
            (Some(RowKind::Table), _) => Kind::Table,
            (Some(RowKind::Curves), Some(own @ Kind::Curves(_))) => own,
            (Some(RowKind::Curves), _) => Kind::Curves(1),
            (Some(RowKind::Images), Some(own @ Kind::Images(_))) => own,
            (Some(RowKind::Images), _) => match square(columns.len()) {
                Some(shape) => Kind::Images(shape),
                None => return Err(Failure::usage(format!("{}: {} columns are no square; say --image C,H,W", self.path(), columns.len()))),
            },
        })
    }

    #[cfg(not(feature = "deep"))]
    fn own_kind(&self) -> Outcome<Option<Kind>> {
        Ok(None)
    }

    /// What the decoder makes rows of.
    #[cfg(feature = "deep")]
    fn own_kind(&self) -> Outcome<Option<Kind>> {
        use lvm_deep::architecture::DecoderSpec;
        use lvm_deep::nets::Steps;
        let Source::Neural(neural) = self else { return Ok(None) };
        match &neural.vae.architecture.decoder {
            DecoderSpec::Convolution(spec) => {
                let [c, h, w] = [spec.image.channels, spec.image.height, spec.image.width].map(|v| v as usize);
                match c {
                    1 | 3 => Ok(Some(Kind::Images((c, h, w)))),
                    _ => Err(Failure::fault(format!("{}: images of {c} channels have no colours; one or three are needed", neural.path))),
                }
            }
            DecoderSpec::Recurrent(lvm_deep::nets::RecurrentSpec { steps, .. })
            | DecoderSpec::Attention(lvm_deep::nets::AttentionSpec { steps, .. }) => match steps {
                Steps::Numbers { columns } => Ok(Some(Kind::Curves(*columns as usize))),
                Steps::Tokens { .. } => Err(Failure::fault(format!(
                    "{}: rows are sequences of codes, of which there is no picture; lvm sample and lvm interpolate write them",
                    neural.path
                ))),
            },
            _ => Ok(None),
        }
    }
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Channels, height, width.
    Images((usize, usize, usize)),
    /// So many numbers a step.
    Curves(usize),
    Table,
}

/// A square of grey, of 7 by 7 at least.
fn square(columns: usize) -> Option<(usize, usize, usize)> {
    let side = columns.isqrt();
    (side >= 7 && side * side == columns).then_some((1, side, side))
}

/// Whether columns are numbered alike (x1, x2, …; pixel0, pixel1, …), as pixels are.
fn alike(columns: &[String]) -> bool {
    let stem = |name: &String| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned();
    columns.iter().all(|name| name.ends_with(|c: char| c.is_ascii_digit()) && stem(name) == stem(&columns[0]))
}

/// An error for a family whose rows can't be drawn so.
pub(super) fn not_for(stored: &Stored, picture: &str, why: &str) -> Failure {
    Failure::fault(format!("{}: there is no picture of {picture} of a model of family {}: {why}", stored.path, stored.family().name()))
}

/// The mixture, where it is one of Gaussians.
pub(super) fn mixture(stored: &Stored) -> Option<lvm_core::gmm::GaussianMixture> {
    match &stored.model {
        Model::Gmm(model) => Some(model.clone()),
        Model::Bgmm(model) => model.point_estimate().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_told_from_measurements() {
        let names = |of: fn(usize) -> String| (0..49).map(of).collect::<Vec<_>>();
        assert!(alike(&names(|j| format!("x{}", j + 1))) && alike(&names(|j| format!("pixel_{}_{}", j / 7, j % 7))));
        assert!(!alike(&names(|j| format!("gene{}{}", ["a", "b"][j % 2], j))) && !alike(&["length".to_owned()]));
        assert_eq!((square(784), square(36), square(50)), (Some((1, 28, 28)), None, None));
    }
}
