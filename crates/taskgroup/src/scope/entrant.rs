//! Children that are polled inside the task of their group: who they are, and what they are in the
//! tree.

use std::borrow::Cow;
use std::sync::OnceLock;

#[cfg(feature = "metrics")]
use super::meters::Meter;
#[cfg(feature = "tracing")]
use super::spans::Span;
use crate::clock::{self, Stamp};
use crate::error::TaskError;
use crate::scope::how::Ending;

/// An inline child: its number in the group, and its name if it has one.
#[derive(Clone)]
pub(crate) struct Entrant {
    index: u32,
    name: Option<Cow<'static, str>>,
}

impl Entrant {
    pub(crate) fn new(index: u32, name: Option<Cow<'static, str>>) -> Self {
        Self { index, name }
    }

    #[cfg_attr(not(any(feature = "tracing", feature = "metrics")), allow(dead_code))]
    pub(crate) fn name(&self) -> Option<&Cow<'static, str>> {
        self.name.as_ref()
    }

    /// Its number in the group.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn display_name(&self) -> Cow<'static, str> {
        let number = || Cow::Owned(format!("#{}", self.index));
        self.name.clone().unwrap_or_else(number)
    }
}

/// What an inline child adds to its scope.
pub(crate) struct Inline {
    who: Entrant,
    /// When it was opened.
    pub(crate) since: Stamp,
    /// What its code failed with.
    failed: OnceLock<TaskError>,
    #[cfg(feature = "tracing")]
    pub(crate) span: Span,
    #[cfg(feature = "metrics")]
    pub(crate) meter: Meter,
}

impl Inline {
    pub(crate) fn new(who: Entrant, #[cfg(feature = "tracing")] span: Span) -> Self {
        Self {
            who,
            since: clock::stamp(),
            failed: OnceLock::new(),
            #[cfg(feature = "tracing")]
            span,
            #[cfg(feature = "metrics")]
            meter: Meter::default(),
        }
    }

    pub(crate) fn who(&self) -> &Entrant {
        &self.who
    }

    /// Its code has failed. What it left behind may still run.
    pub(crate) fn has_failed(&self, failed: &TaskError) {
        self.failed.get_or_init(|| failed.clone());
    }

    /// How it ended, if it was dropped half-way.
    pub(crate) fn ending(&self) -> Ending {
        match self.failed.get() {
            Some(failed) => Ending::Failed(failed.clone()),
            None => Ending::Cancelled,
        }
    }
}
