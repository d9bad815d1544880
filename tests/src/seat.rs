//! A place at a terminal: a command whose input, output and errors are one pseudo-terminal, and somebody who answers its prompts.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(240);

/// Runs a command to its end. `answer` is shown what was written since its last answer, and may type a line.
///
/// Gives the exit code and all that the terminal showed.
pub fn run(command: &Command, answer: &mut dyn FnMut(&str) -> Option<String>) -> Result<(i32, String)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?.into_string()?;
    let end = File::options().read(true).write(true).open(name)?;
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg("--wait").arg(command.get_program()).args(command.get_args());
    session.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        session.current_dir(dir);
    }
    session.stdin(end.try_clone()?).stdout(end.try_clone()?).stderr(Stdio::from(end));
    let mut child = session.spawn().context("setsid")?;
    // Its copies of the terminal's end would keep it open.
    drop(session);
    let mut terminal = File::from(master);
    let (mut reader, (to, shown)) = (terminal.try_clone()?, channel());
    std::thread::spawn(move || {
        let mut octets = [0; 4096];
        // The terminal's end is an error: nobody has its other side open any more.
        while let Ok(length) = reader.read(&mut octets) {
            if length == 0 || to.send(octets[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let (mut seen, mut answered, deadline) = (Vec::new(), 0, Instant::now() + LIMIT);
    loop {
        match shown.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(octets) => seen.extend(octets),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                drop(child.kill());
                bail!("{command:?} does not end: {}", String::from_utf8_lossy(&seen));
            }
        }
        if let Some(line) = answer(&String::from_utf8_lossy(&seen[answered..])) {
            answered = seen.len();
            terminal.write_all(format!("{line}\n").as_bytes())?;
        }
    }
    let code = child.wait()?.code().context("killed")?;
    Ok((code, String::from_utf8_lossy(&seen).into_owned()))
}
