//! A throw-away SoftHSM token: the only place where the harness knows SoftHSM's files.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::files;
use crate::process::{self, User};

/// Where Debian and others keep the module; the variable wins.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];
/// Another module for the tests, by its path.
const MODULE_VARIABLE: &str = "TEST_PKCS11_MODULE";

/// A token directory of its own with its own `softhsm2.conf`.
pub struct SoftHsm {
    /// Holds the configuration file and the token directory.
    dir: PathBuf,
    /// The PKCS#11 library.
    module: PathBuf,
}

impl SoftHsm {
    /// An empty SoftHSM, without any token, that belongs to the signer.
    pub fn new(dir: &Path) -> Result<Self> {
        let softhsm = Self { dir: dir.to_owned(), module: module()? };
        files::make_dir(dir, User::Signer, 0o700)?;
        files::make_dir(&softhsm.tokens(), User::Signer, 0o700)?;
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            softhsm.tokens().display()
        );
        files::write(&softhsm.config(), text, User::Signer, 0o600)?;
        Ok(softhsm)
    }

    /// The PKCS#11 library.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// `softhsm2.conf`, for the variable `SOFTHSM2_CONF`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.join("softhsm2.conf")
    }

    /// The directory with one directory per token.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.dir.join("tokens")
    }

    /// Makes a token with SoftHSM's own tool, behind the signer's back.
    pub fn add_foreign_token(&self, label: &str, pin: &str, so_pin: &str) -> Result<()> {
        let mut command = process::command("softhsm2-util", User::Signer);
        command.env("SOFTHSM2_CONF", self.config());
        command.args(["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin]);
        process::run(&mut command, "softhsm2-util --init-token").map(drop)
    }

    /// Copies every token as it is now to `to`.
    pub fn snapshot(&self, to: &Path) -> Result<()> {
        files::copy_tree(&self.tokens(), to)
    }

    /// Takes every token away and puts a snapshot in its place.
    pub fn restore(&self, from: &Path) -> Result<()> {
        self.remove_tokens()?;
        files::copy_tree(from, &self.tokens())
    }

    /// Takes every token away, as if unplugged.
    pub fn remove_tokens(&self) -> Result<()> {
        std::fs::remove_dir_all(self.tokens())?;
        files::make_dir(&self.tokens(), User::Signer, 0o700)
    }

    /// Every object file of every token.
    pub fn object_files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for token in std::fs::read_dir(self.tokens())? {
            for entry in std::fs::read_dir(token?.path())? {
                let path = entry?.path();
                let is_object = path.extension().is_some_and(|end| end == "object");
                if is_object && path.file_stem().is_some_and(|name| name != "token") {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The first module that exists.
pub fn module() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(MODULE_VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    match MODULES.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Ok(PathBuf::from(path)),
        None => {
            bail!("no SoftHSM found; install the package softhsm2, or name the module in {MODULE_VARIABLE}")
        }
    }
}
