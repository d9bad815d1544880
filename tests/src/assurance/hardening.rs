//! What the kernel says about a running signer: rights given up, memory locked, and every descriptor that it holds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// What one process may have; everything else is a finding.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Whether a filter of system calls must be on.
    pub seccomp: bool,
    /// Whether what it can write to must be locked in memory.
    pub locked: bool,
    /// How many Unix sockets it has.
    pub sockets: usize,
    /// The path at which one of them may listen.
    pub listens: Option<PathBuf>,
    /// Descriptors of other kinds, as the kernel names them without numbers (`pipe`, `anon_inode:[eventfd]`), and files.
    pub others: Vec<String>,
}

/// What keeper, gate and vault must be like; `state` is the directory with the ledger.
#[must_use]
pub fn wanted(socket: &Path, state: &Path, locked: bool) -> [Wanted; 3] {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut gate = words(&["anon_inode:[eventfd]", "pipe", "pipe"]);
    gate.extend(["ledger", "lock"].map(|name| state.join(name).display().to_string()));
    [
        // The two pairs; and it waits for two children.
        Wanted {
            sockets: 2,
            others: words(&["anon_inode:[pidfd]", "anon_inode:[pidfd]"]),
            ..Wanted::default()
        },
        // To the vault, to the keeper, and the one at which it listens.
        Wanted {
            seccomp: true,
            sockets: 3,
            // It is bound under another name, and renamed once it is guarded.
            listens: Some(socket.with_extension("new")),
            others: gate,
            ..Wanted::default()
        },
        Wanted { seccomp: true, locked, sockets: 1, ..Wanted::default() },
    ]
}

/// Everything about a process that is not as it must be. Needs root.
///
/// # Errors
/// If the process is gone.
pub fn look(pid: u32, wanted: &Wanted) -> Result<Vec<String>> {
    let status = read(pid, "status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            findings.push(what);
        }
    };
    must(field("NoNewPrivs") == "1", format!("NoNewPrivs is {}", field("NoNewPrivs")));
    must((field("Seccomp") == "2") == wanted.seccomp, format!("Seccomp is {}", field("Seccomp")));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        must(field(set).trim_matches('0').is_empty(), format!("{set} is {}", field(set)));
    }
    let uid = field("Uid").split_whitespace().next().unwrap_or_default().to_owned();
    let owner = fs::metadata(format!("/proc/{pid}/environ"))?.uid().to_string();
    must(owner != uid, format!("dumpable: {uid} owns its own /proc/{pid}"));
    let limits = read(pid, "limits")?;
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap_or_default();
    must(core.split_whitespace().take(2).eq(["0", "0"]), format!("core limit: {core}"));
    if wanted.locked {
        let loose = unlocked(&read(pid, "smaps")?);
        must(loose.is_empty(), format!("not locked: {}", loose.join(", ")));
    }
    descriptors(pid, wanted, &mut findings)?;
    Ok(findings)
}

/// A file of `/proc`.
fn read(pid: u32, name: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| format!("/proc/{pid}/{name}"))
}

/// The mappings in which secrets could be written and swapped out: private, writable, and not locked.
fn unlocked(smaps: &str) -> Vec<String> {
    let (mut loose, mut mapping) = (Vec::new(), "");
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let writable = mapping.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"));
            if writable && !flags.split(' ').any(|flag| flag == "lo") {
                loose.push(mapping.to_owned());
            }
        } else if line.split(' ').next().is_some_and(|word| word.contains('-')) {
            mapping = line;
        }
    }
    loose
}

/// Compares the descriptors above standard input, output and error output with what is wanted. What this very process has
/// is not counted: it is passed on from whoever started the tests.
fn descriptors(pid: u32, wanted: &Wanted, findings: &mut Vec<String>) -> Result<()> {
    let inherited: BTreeSet<_> = links(std::process::id())?.into_iter().map(|(_number, name)| name).collect();
    let (mut sockets, mut others) = (BTreeSet::new(), Vec::new());
    for (number, name) in links(pid)? {
        match name.strip_prefix("socket:") {
            _ if inherited.contains(&name) => {}
            Some(inode) => {
                sockets.insert(inode.trim_matches(['[', ']']).to_owned());
            }
            None if number <= 2 => {}
            None => others.push(
                name.split(":[").next().filter(|kind| *kind == "pipe").map_or(name.clone(), str::to_owned),
            ),
        }
    }
    others.sort_unstable();
    let mut expected = wanted.others.clone();
    expected.sort_unstable();
    if others != expected {
        findings.push(format!("descriptors are {others:?}, wanted are {expected:?}"));
    }
    if sockets.len() != wanted.sockets {
        findings.push(format!("{} sockets, wanted are {}", sockets.len(), wanted.sockets));
    }
    let known = read(pid, "net/unix")?;
    for inode in &sockets {
        // Number, references, protocol, flags, type, state, inode, path; a listening one has the flag 00010000.
        let row = known.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        match row.into_iter().find(|row| row.get(6) == Some(&inode.as_str())) {
            None => findings.push(format!("the socket {inode} is no Unix socket")),
            Some(row) if row.get(3) == Some(&"00010000") => {
                let path = row.get(7).map(PathBuf::from);
                if path.is_none() || path != wanted.listens {
                    findings.push(format!("it listens at {path:?}"));
                }
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The descriptors of a process by number, and what each of them is.
fn links(pid: u32) -> Result<Vec<(u32, String)>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        // One that was closed meanwhile is none.
        if let (Ok(number), Ok(name)) =
            (entry.file_name().to_string_lossy().parse(), fs::read_link(entry.path()))
        {
            links.push((number, name.to_string_lossy().into_owned()));
        }
    }
    Ok(links)
}
