//! Where a PIN comes from: a file, a systemd credential or a prompt; never argv, environment or the configuration itself.

use crate::error::{Explain, Kind};
use crate::terminal::Terminal;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The longest PIN file that is read, in octets.
const FILE_MAX: u64 = 1024;

/// A PIN; wiped when dropped, never shown.
pub struct Pin(SecretString);

impl Pin {
    /// Takes the text of a PIN.
    pub(crate) fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// Whether two PINs are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }

    /// Lends the PIN to the token.
    pub fn with<T>(&self, use_it: impl FnOnce(&SecretString) -> T) -> T {
        use_it(&self.0)
    }
}

/// Where a PIN is to be read from, as the configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// `file:/path`.
    File(PathBuf),
    /// `credential:NAME`, a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// `prompt`, typed on the terminal.
    Prompt,
}

/// Why a PIN was not had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The text is none of the three forms.
    #[error(
        "wanted is \"file:/absolute/path\", \"credential:NAME\" or \"prompt\"; a PIN itself never stands here"
    )]
    Form,
    /// The file cannot be read.
    #[error("cannot read the PIN from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can be read by others.
    #[error("the PIN file {} can be read or written by group or others (mode {mode:04o})", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not text, is empty or too long.
    #[error("the PIN in {0} is empty, longer than {FILE_MAX} octets, or not one line of text")]
    Content(String),
    /// There is no credentials directory.
    #[error("there is no credential {0}: systemd has not set CREDENTIALS_DIRECTORY")]
    NoCredentials(String),
    /// A new PIN was typed in two ways.
    #[error("the new PIN was typed in two different ways; nothing was changed")]
    Different,
    /// There is no terminal.
    #[error("cannot ask for the PIN on the terminal")]
    Terminal(#[source] io::Error),
}

impl Explain for PinError {
    fn kind(&self) -> Kind {
        match self {
            Self::Form => Kind::Usage,
            Self::Terminal(error) if error.kind() == io::ErrorKind::Interrupted => Kind::Interrupted,
            Self::Read { .. }
            | Self::Exposed { .. }
            | Self::Content(_)
            | Self::NoCredentials(_)
            | Self::Different
            | Self::Terminal(_) => Kind::Pin,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Form => "pin = \"file:/etc/onionkeep/pin\"".to_owned(),
            Self::Read { .. } => "run as the user that owns the file, and check the path".to_owned(),
            Self::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Content(_) => "write the PIN alone into the file, on one line".to_owned(),
            Self::NoCredentials(name) => format!("LoadCredential={name}:/path/to/pin in the unit"),
            Self::Different => "type it again".to_owned(),
            Self::Terminal(_) => "run from a terminal, or use pin = \"file:...\"".to_owned(),
        }
    }
}

impl FromStr for PinSource {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        if text == "prompt" {
            return Ok(Self::Prompt);
        }
        if let Some(path) = text.strip_prefix("file:").filter(|path| path.starts_with('/')) {
            return Ok(Self::File(path.into()));
        }
        let name = text.strip_prefix("credential:").ok_or(PinError::Form)?;
        let plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        if plain { Ok(Self::Credential(name.to_owned())) } else { Err(PinError::Form) }
    }
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Prompt => f.write_str("prompt"),
        }
    }
}

impl PinSource {
    /// Reads a new PIN: on the terminal it is typed twice.
    ///
    /// # Errors
    /// As [`PinSource::read`]; [`PinError::Different`] if it is typed differently.
    pub fn read_new(&self, what: &str) -> Result<Pin, PinError> {
        let first = self.read(what)?;
        if *self == Self::Prompt && !prompt(&format!("{what} once more"))?.is(&first) {
            return Err(PinError::Different);
        }
        Ok(first)
    }

    /// Reads the PIN; `what` names it in the prompt.
    ///
    /// # Errors
    /// [`PinError`] if the source cannot be read, is exposed to others, or holds no PIN.
    pub fn read(&self, what: &str) -> Result<Pin, PinError> {
        match self {
            Self::File(path) => from_file(path, true),
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
                let directory = directory.ok_or_else(|| PinError::NoCredentials(name.clone()))?;
                // systemd owns that directory, and its ACL makes a 0400 file look like 0440.
                from_file(&Path::new(&directory).join(name), false)
            }
            Self::Prompt => prompt(what),
        }
    }
}

/// Reads a PIN file; `guarded` refuses one that others can read.
fn from_file(path: &Path, guarded: bool) -> Result<Pin, PinError> {
    let unreadable = |source| PinError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
    if guarded && mode & 0o077 != 0 {
        return Err(PinError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::with_capacity(1025));
    let whole = Read::by_ref(&mut file).take(FILE_MAX.saturating_add(1)).read_to_string(&mut text);
    match whole {
        Ok(_length) => one_line(&text).ok_or_else(|| PinError::Content(path.display().to_string())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(PinError::Content(path.display().to_string()))
        }
        Err(error) => Err(unreadable(error)),
    }
}

/// The PIN in a text of one line; one line end is cut off.
fn one_line(text: &str) -> Option<Pin> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= FILE_MAX);
    (fits && !line.is_empty() && !line.chars().any(char::is_control)).then(|| Pin::new(line))
}

/// Asks on the terminal, without echo.
fn prompt(what: &str) -> Result<Pin, PinError> {
    let line = Terminal::open().and_then(|terminal| terminal.ask_unseen(what));
    one_line(&line.map_err(PinError::Terminal)?).ok_or_else(|| PinError::Content("the terminal".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn file(content: &[u8], mode: u32) -> tempfile::TempPath {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        file.into_temp_path()
    }

    fn read(content: &[u8], mode: u32) -> Result<String, PinError> {
        let path = file(content, mode);
        let pin = PinSource::File(path.to_path_buf()).read("PIN")?;
        Ok(pin.with(|pin| pin.expose_secret().to_owned()))
    }

    #[test]
    fn three_forms_are_known_and_an_inline_pin_is_not() {
        for text in ["file:/a/b", "credential:pin", "prompt"] {
            assert_eq!(text.parse::<PinSource>().unwrap().to_string(), text);
        }
        for text in ["1234", "file:relative", "credential:", "credential:../x", "env:PIN", "pin-value=1", ""]
        {
            assert!(matches!(text.parse::<PinSource>(), Err(PinError::Form)), "{text}");
        }
    }

    #[test]
    fn one_line_end_is_cut_off_and_no_more() {
        assert_eq!(read(b"12 34\n", 0o600).unwrap(), "12 34");
        assert_eq!(read(b"1234\r\n", 0o400).unwrap(), "1234");
        assert_eq!(read(b" 1234 ", 0o600).unwrap(), " 1234 ");
        assert!(matches!(read(b"1234\n\n", 0o600), Err(PinError::Content(_))));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o666] {
            assert!(matches!(read(b"1234", mode), Err(PinError::Exposed { .. })), "{mode:o}");
        }
    }

    #[test]
    fn empty_long_and_binary_files_are_refused() {
        assert!(matches!(read(b"", 0o600), Err(PinError::Content(_))));
        assert!(matches!(read(b"\n", 0o600), Err(PinError::Content(_))));
        assert!(matches!(read(&[b'1'; 1025], 0o600), Err(PinError::Content(_))));
        assert!(matches!(read(&[0xff, 0xfe], 0o600), Err(PinError::Content(_))));
    }

    #[test]
    fn a_missing_file_is_a_pin_error() {
        let error = PinSource::File("/nonexistent/pin".into()).read("PIN").err().unwrap();
        assert_eq!(error.kind(), Kind::Pin);
    }
}
