//! The files of `replay`: a ladder, a capture, raw events.

use std::path::PathBuf;

use super::ReplayArguments;
use crate::cli::files::PendingFile;
use crate::cli::terminal::StandardOutput;
use crate::report::ladder::{self, Ladder};
use crate::report::{capture, events};
use crate::sim::Setup;
use crate::study::TrialRecording;

/// Files that will be written.
pub(super) struct OutputFiles {
    svg: Option<PendingFile>,
    pcapng: Option<PendingFile>,
    json: Option<PendingFile>,
    prints_events: bool,
}

impl OutputFiles {
    /// Opens the files that were asked for.
    ///
    /// # Errors
    /// If one could not be written.
    pub(super) fn open(arguments: &ReplayArguments) -> anyhow::Result<Self> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(PendingFile::open).transpose();
        let prints_events = arguments.prints_events();
        Ok(Self {
            svg: open(&arguments.svg)?,
            pcapng: open(&arguments.pcapng)?,
            json: if prints_events { None } else { open(&arguments.json)? },
            prints_events,
        })
    }

    /// Writes them, and the raw events if standard output is requested for those.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(
        self,
        recording: &TrialRecording,
        ladder: &Ladder,
        setup: &Setup,
    ) -> anyhow::Result<()> {
        if self.prints_events {
            StandardOutput::default().print(&events::lines(recording, setup))?;
        }
        if let Some(file) = self.json {
            file.write(events::lines(recording, setup).as_bytes())?;
        }
        if let Some(file) = self.svg {
            file.write(ladder::svg(ladder).as_bytes())?;
        }
        if let Some(file) = self.pcapng {
            let bytes = capture::encode_capture_file(recording, setup);
            file.write(&bytes.map_err(|error| anyhow::anyhow!("failed to {error}"))?)?;
        }
        Ok(())
    }
}
