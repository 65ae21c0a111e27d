//! What stands in the report where the neural checks can't be run.

use super::{Family, Published};
use crate::case::Case;
use crate::suite::{Group, Outcome};

fn not_run(g: &mut Group<'_>) -> Outcome {
    g.not_run("neural models", "this program was built without libtorch", "cargo xtask verify --layer V");
    Ok(())
}

pub(super) fn forward(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn gradient(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn sampled_gradient(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn devices(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn estimators(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn gaps(g: &mut Group<'_>, _case: &Case) -> Outcome {
    not_run(g)
}

pub(super) fn linear(g: &mut Group<'_>, _published: &Published, _family: Family) -> Outcome {
    not_run(g)
}

pub(super) fn from_axes(g: &mut Group<'_>, _published: &Published) -> Outcome {
    not_run(g)
}

pub(super) fn collapse(g: &mut Group<'_>, _published: &Published, _latents: usize, _active: &[usize]) -> Outcome {
    not_run(g)
}

pub(super) fn scaling(g: &mut Group<'_>) -> Outcome {
    not_run(g)
}

pub(super) fn densities(g: &mut Group<'_>) -> Outcome {
    not_run(g)
}

pub(super) fn flows(g: &mut Group<'_>) -> Outcome {
    not_run(g)
}
