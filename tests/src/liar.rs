//! A signer that lies: it sits where the signer's socket was and answers wrongly, or not at all.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use onionkeep_common::EncodedCert;
use onionkeep_common::wire::Reply;

use crate::wait;

/// What it does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Octets that are no frame.
    Garbage,
    /// A frame with a certificate that nobody signed.
    Certificate,
    /// Nothing, until the other side gives up.
    Silence,
}

/// The liar; it stops listening when this is dropped, and the socket's file goes.
pub struct Liar {
    /// Where it listens.
    socket: PathBuf,
    /// The lies that were told, as they come.
    told: Mutex<Receiver<Lie>>,
}

impl Liar {
    /// Takes the place of a signer that does not run, and tells `lie` to whoever asks.
    pub fn sits_at(socket: &Path, lie: Lie) -> Result<Self> {
        let _nobody_was_there = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).context("the liar's socket")?;
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o666))?;
        let (tell, told) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let tell = tell.clone();
                thread::spawn(move || {
                    // A question that is taken back is no lie told.
                    if answer(stream, lie).is_ok() {
                        let _nobody_counts = tell.send(lie);
                    }
                });
            }
        });
        Ok(Self { socket: socket.to_owned(), told: Mutex::new(told) })
    }

    /// Waits until it was asked and has lied.
    pub fn has_lied(&self, limit: Duration) -> Result<()> {
        wait::until_true("somebody to ask the liar", limit, || {
            Ok(self.told.lock().is_ok_and(|told| told.try_recv().is_ok()))
        })
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.socket);
    }
}

/// Reads a question and lies.
fn answer(mut stream: UnixStream, lie: Lie) -> std::io::Result<()> {
    let mut question = [0; 1];
    stream.read_exact(&mut question)?;
    match lie {
        Lie::Garbage => stream.write_all(&[0xff; 64]),
        Lie::Certificate => stream.write_all(Reply::Certificate(EncodedCert([8; 140])).to_frame().as_bytes()),
        // The question's rest, and then its end: the asker's patience is over.
        Lie::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
    }
}
