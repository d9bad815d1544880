//! The only place where the harness speaks to whoever watches: plain lines with the time since the start, or a spinner.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Says what is being waited for and what has been reached. Clones speak through the same mouth.
#[derive(Clone)]
pub struct Report {
    /// Start of the run; every line shows the distance from it.
    start: Instant,
    /// The spinner, when there is a terminal.
    spinner: Option<Arc<ProgressBar>>,
    /// Written before each line, so that two networks in one run can be told apart.
    prefix: String,
}

impl Report {
    /// A spinner when stderr is a terminal, plain lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        let spinner = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is constant"));
            Arc::new(bar)
        });
        Self { start: Instant::now(), spinner, prefix: String::new() }
    }

    /// Plain lines, terminal or not.
    #[must_use]
    pub fn plain() -> Self {
        Self { start: Instant::now(), spinner: None, prefix: String::new() }
    }

    /// The same report, its lines marked with `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self { prefix: format!("{}{name}: ", self.prefix), ..self.clone() }
    }

    /// Time since the start of the run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// What is being waited for now.
    pub fn waiting(&self, what: &str) {
        match &self.spinner {
            Some(bar) => bar.set_message(format!("{}{what}", self.prefix)),
            None => self.line(&format!("... {what}")),
        }
    }

    /// A state that has been reached.
    pub fn reached(&self, what: &str) {
        self.line(what);
    }

    /// An answer for the reader, on stdout and without decoration.
    pub fn answer(&self, text: &str) {
        self.quietly(|| drop(writeln!(stdout(), "{text}")));
    }

    /// Takes the spinner away for good.
    pub fn finish(&self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }

    /// One line on stderr, the spinner out of its way.
    fn line(&self, text: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        self.quietly(|| drop(writeln!(stderr(), "{seconds:6.1} s  {}{text}", self.prefix)));
    }

    /// Runs `write` while the spinner is hidden.
    fn quietly(&self, write: impl FnOnce()) {
        match &self.spinner {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}
