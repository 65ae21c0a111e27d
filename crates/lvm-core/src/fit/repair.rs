//! What was done where there would have been no usable answer otherwise.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An intervention without which there would be no usable answer.
///
/// ```
/// use lvm_core::fit::{Repair, RepairKind};
/// let repair = Repair { iteration: 4, kind: RepairKind::ComponentReseeded { component: 1, row: 17 } };
/// assert_eq!(repair.to_string(), "iteration 4: component 1 had lost its rows and was put back at row 17");
/// # Ok::<(), lvm_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// Iteration, from 1; 0 before the first, as in the fit that this one goes on from.
    pub iteration: usize,
    /// What was done.
    #[serde(flatten)]
    pub kind: RepairKind,
}

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "repair", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepairKind {
    /// Eigenvalues of a component's covariance below the floor were raised to it.
    CovarianceFloored {
        /// Component, from 0.
        component: usize,
        /// The floor, in squared units of the data.
        floor: f64,
    },
    /// A component that had lost its rows was put back at a row the mixture explains badly.
    ComponentReseeded {
        /// Component, from 0.
        component: usize,
        /// The row, from 0.
        row: usize,
    },
    /// Heywood case: the likelihood rises as a uniqueness goes to zero; it was held at the floor.
    Heywood {
        /// Variable, from 0.
        variable: usize,
        /// The floor, as a share of the variable's variance.
        floor: f64,
    },
    /// The noise variance was zero to rounding and was raised to the floor.
    NoiseFloored {
        /// The floor, in squared units of the data.
        floor: f64,
    },
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.iteration {
            0 => "before".to_owned(),
            iteration => format!("iteration {iteration}"),
        };
        match &self.kind {
            RepairKind::CovarianceFloored { component, floor } => {
                write!(f, "{when}: covariance of component {component} raised to the floor {floor:.3e}")
            }
            RepairKind::ComponentReseeded { component, row } => {
                write!(f, "{when}: component {component} had lost its rows and was put back at row {row}")
            }
            RepairKind::Heywood { variable, floor } => write!(
                f,
                "improper solution (Heywood case): the uniqueness of variable {variable} goes to zero and was held at {floor:.3e} of its variance"
            ),
            RepairKind::NoiseFloored { floor } => write!(f, "noise variance zero to rounding, raised to {floor:.3e}"),
        }
    }
}
