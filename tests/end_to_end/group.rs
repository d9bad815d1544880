//! Stories that share one stage: the only place where a stage is made for them, handed on and taken down.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use libtest_mimic::{Failed, Trial};
use onionkeep_tests::Report;
use onionkeep_tests::stage::Stage;
use onionkeep_tests::tornet::Pace;

/// A story: what must be true of a frontend at work. It leaves the stage as it found it.
pub(crate) type Story = fn(&mut Stage) -> Result<()>;

/// One stage for several stories.
pub(crate) struct Group {
    /// For the reader.
    name: &'static str,
    /// How time passes.
    pace: Pace,
    /// Number of backends.
    backends: usize,
    /// Who is told.
    report: Report,
    /// The stage between two stories.
    stage: Mutex<Option<Stage>>,
    /// Whether a story has been told: the first one is told from the publisher's very start.
    begun: AtomicBool,
}

impl Group {
    /// A group without a stage yet.
    pub(crate) fn new(name: &'static str, pace: Pace, backends: usize, report: &Report) -> Arc<Self> {
        Arc::new(Self {
            name,
            pace,
            backends,
            report: report.named(name),
            stage: Mutex::new(None),
            begun: AtomicBool::new(false),
        })
    }

    /// A story of this group as a test.
    pub(crate) fn story(self: &Arc<Self>, name: &'static str, story: Story) -> Trial {
        let group = Arc::clone(self);
        Trial::test(name, move || group.tell(name, story).map_err(|error| Failed::from(format!("{error:#}"))))
            .with_kind(self.name)
    }

    /// Tells one story on the group's stage; after a failure there is no stage any more.
    fn tell(&self, name: &str, story: Story) -> Result<()> {
        let mut place = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stage = match place.take() {
            Some(stage) => stage,
            None => self.build()?,
        };
        let start = self.report.elapsed();
        let logs = stage.run.path().display().to_string();
        stage.report = self.report.named(name);
        let told = catch_unwind(AssertUnwindSafe(|| story(&mut stage)))
            .unwrap_or_else(|panic| Err(text_of(&*panic)));
        let told = told.and_then(|()| stage.network.must_run());
        told.with_context(|| format!("the logs are in {logs}"))?;
        let took = self.report.elapsed().saturating_sub(start);
        self.report.reached(&format!("story {name}: good, {:.1} s", took.as_secs_f64()));
        *place = Some(stage);
        Ok(())
    }

    /// A new stage. The first story is told from the publisher's very start; a later one, for which the stage has to be made
    /// anew, finds what the first one leaves: a frontend that is published.
    fn build(&self) -> Result<Stage> {
        let mut stage = Stage::build(self.pace, self.backends, &self.report)?;
        if self.begun.swap(true, Ordering::Relaxed) {
            let logs = stage.run.path().display().to_string();
            stage.wait_all_uploads().with_context(|| format!("the logs are in {logs}"))?;
        }
        Ok(stage)
    }

    /// Takes the stage down and removes its directory.
    pub(crate) fn finish(&self) {
        if let Some(mut stage) = self.stage.lock().unwrap_or_else(PoisonError::into_inner).take() {
            stage.run.discard();
        }
    }
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    anyhow!(text.unwrap_or_else(|| "a panic without text".to_owned()))
}
