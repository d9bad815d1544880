//! The terminal while the status is watched: the only place that changes it, and that gives it back as it was.

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// The other screen, no cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The first screen as it was, with the cursor.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// What is to be given back; taken by whoever does.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// How the terminal was.
struct Before {
    /// The modes of standard input, if that is a terminal.
    modes: Option<Termios>,
}

/// The terminal, taken over until it is dropped.
pub(super) struct Terminal;

impl Terminal {
    /// Why this is no terminal to watch on; `None` if it is one.
    pub(super) fn objection() -> Option<&'static str> {
        let term = std::env::var("TERM").unwrap_or_default();
        if !io::stdout().is_terminal() {
            Some("standard output is no terminal")
        } else if matches!(term.as_str(), "" | "dumb") {
            Some("TERM names a terminal that cannot move its cursor")
        } else {
            None
        }
    }

    /// Takes the terminal over.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn enter() -> io::Result<Self> {
        let input = io::stdin();
        let modes = if input.is_terminal() { Some(tcgetattr(&input)?) } else { None };
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        *before = Some(Before { modes: modes.clone() });
        drop(before);
        let this = Self;
        if let Some(mut modes) = modes {
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            tcsetattr(&input, OptionalActions::Flush, &modes)?;
        }
        write(ENTER)?;
        Ok(this)
    }

    /// Columns and rows; 80 and 24 if the terminal does not tell.
    pub(super) fn size() -> (usize, usize) {
        let told = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        told.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Writes a screen.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let text = lines.join("\x1b[K\r\n");
        write(&format!("\x1b[H{text}\x1b[K\x1b[J"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was before, once.
pub(super) fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Before { modes }) = before {
        // A terminal that is gone needs nothing any more.
        drop(write(LEAVE));
        if let Some(modes) = modes {
            let _gone = tcsetattr(io::stdin(), OptionalActions::Flush, &modes);
        }
    }
}

/// Writes to the terminal at once.
fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
