//! A progress bar, on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};
use lvm_core::fit::Progress;
use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::time::Duration;

/// A progress bar that is not there unless standard error is a terminal.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar that says what is being done.
    pub(crate) fn new(what: &str) -> Self {
        if !stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(Some(bar))
    }

    /// A bar over epochs, with the time that is left.
    #[cfg(feature = "deep")]
    pub(crate) fn epochs(total: usize, done: usize) -> Self {
        if !stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} epoch {pos} of {len}, {msg} [{elapsed}, {eta} left]") {
            bar.set_style(style);
        }
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(Some(bar))
    }

    /// After an epoch.
    #[cfg(feature = "deep")]
    pub(crate) fn epoch(&self, done: usize, message: String) {
        if let Some(bar) = &self.0 {
            bar.set_position(done as u64);
            bar.set_message(message);
        }
    }

    /// Shows where a fit stands; the callback of `fit_watched`.
    pub(crate) fn watch(&self, progress: &Progress) -> ControlFlow<()> {
        if let Some(bar) = &self.0 {
            let restart = match progress.restarts {
                0 | 1 => String::new(),
                restarts => format!("start {} of {restarts}, ", progress.restart + 1),
            };
            bar.set_message(match progress.iteration {
                0 => format!("{restart}reading"),
                iteration => {
                    format!("{restart}iteration {iteration} of at most {}, {:.6} nats per row", progress.max_iterations, progress.objective)
                }
            });
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
