//! The report as one page that needs nothing from outside.

use super::Report;

/// The page.
pub fn page(report: &Report) -> String {
    format!("<pre>{}</pre>", super::table::full(report, super::table::Colour::None))
}
