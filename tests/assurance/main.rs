//! Short forms of the rigs behind `docs/ASSURANCE.md`. The full ones: `cargo run --release -p onionkeep-tests --bin assurance`.

use onionkeep_common::wire::Reply;
use onionkeep_tests::assurance::disk::{self, Failing, Full, SmallDisk};
use onionkeep_tests::assurance::subject::{SLOTS_PER_ONION, Subject};
use onionkeep_tests::assurance::{canary, ceremonies, hardening, hostile, kills, rounds, strangers, trace};
use onionkeep_tests::peer::{LIMIT, Peer};
use onionkeep_tests::process::{self, Process, User};
use onionkeep_tests::{files, wait};
use std::net::TcpListener;
use std::path::Path;

/// Onions that are enough for `certificates`.
fn onions_for(certificates: usize) -> usize {
    certificates.div_ceil(SLOTS_PER_ONION)
}

#[test]
fn no_secret_is_left_anywhere_after_signing() {
    if !process::is_root() {
        println!("skipped: reading the memory of a signer needs root");
        return;
    }
    let mut subject = Subject::new(onions_for(500)).unwrap();
    let count = rounds::run(&mut subject, 500, Path::new(env!("CARGO_BIN_EXE_assurance"))).unwrap();
    assert!(count.scanner.octets > 1_000_000, "only {} octets were looked at", count.scanner.octets);
    assert!(count.scanner.hits.is_empty(), "{}", count.scanner.report());
}

#[test]
fn every_leak_of_a_canary_is_found() {
    if !process::is_root() {
        println!("skipped: reading the memory of a signer needs root");
        return;
    }
    let missed = canary::run(Path::new(env!("CARGO_BIN_EXE_assurance"))).unwrap();
    assert!(missed.is_empty(), "not found: {}", missed.join(", "));
}

#[test]
fn what_was_released_is_never_forgotten_by_a_kill() {
    let mut subject = Subject::new(onions_for(30 * 4)).unwrap();
    let count = kills::run(&mut subject, 30, 4711).unwrap();
    assert_eq!((count.rounds, &count.forgotten), (30, &Vec::new()));
    assert!(count.released >= 10 && count.remembered == count.released, "{count:?}");
}

#[test]
fn a_ceremony_whose_power_is_cut_ends_with_its_one_answer() {
    let count = ceremonies::run(&Subject::new(1).unwrap(), 10, 4711).unwrap();
    assert_eq!((count.ceremonies, &count.wrong), (10, &Vec::new()));
    assert!(count.hits >= 3 && count.after.len() >= 2, "{count:?}");
}

#[test]
fn a_medium_that_fills_up_during_a_ceremony_gets_no_half_bundle() {
    if !disk::can_mount() {
        println!("skipped: a small disk needs the right to mount");
        return;
    }
    let subject = Subject::new(1).unwrap();
    let stick = subject.run.path().join("stick");
    files::make_dir(&stick, User::Signer, 0o700).unwrap();
    let disk = SmallDisk::mount(&stick, &subject.run.path().join("spare"), User::Signer).unwrap();
    let filler = disk.fill().unwrap();
    let ceremony = ceremonies::Ceremony::first(&subject, Some(&stick.join("1.bundle"))).unwrap();
    let ran = ceremony.run().unwrap();
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.stderr.contains("no part of it was left there") && ran.stderr.contains("what was signed is kept"),
        "{ran:?}"
    );
    assert_eq!(std::fs::read_dir(&stick).unwrap().count(), 1, "something beside what fills it");
    std::fs::remove_file(filler).unwrap();
    assert_eq!(ceremony.run().unwrap().code, 0);
    ceremony.fits(&std::fs::read(stick.join("1.bundle")).unwrap()).unwrap();
}

#[test]
fn a_hostile_publisher_gets_only_what_is_its_own() {
    let program = Path::new(env!("CARGO_BIN_EXE_assurance"));
    let outcome = hostile::run(program, 64, 8, 4711).unwrap();
    let broken = outcome.loot.broken.lock().unwrap();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // The attack has bitten: it was served, and held back by the limits.
    let certificates = outcome.loot.certificates();
    assert!((1..=SLOTS_PER_ONION).contains(&certificates), "{certificates} certificates");
    if let Some(honest) = outcome.honest {
        assert!(honest.times.len() > 10 && honest.failures.is_empty(), "{honest:?}");
        // At most one: 66 threads may keep a small machine from answering within the 5 s.
        assert!(honest.away.len() <= 1, "{honest:?}");
    }
}

#[test]
fn a_certificate_is_on_the_disk_before_it_is_sent() {
    assert!(trace::have_strace(), "strace is missing; tests/prepare installs it");
    let mut subject = Subject::new(1).unwrap();
    let order = trace::run(&mut subject, 12).unwrap();
    assert_eq!((order.sent, order.too_early), (12, 0), "{order:?}");
    assert!(order.flushed >= 12, "{order:?}");
}

#[test]
fn a_full_disk_is_refused_and_survived() {
    if !disk::can_mount() {
        println!("skipped: a small disk needs the right to mount");
        return;
    }
    let mut subject = Subject::new(2).unwrap();
    let disk = SmallDisk::mount(
        &subject.signer.dir().join("state"),
        &subject.run.path().join("spare"),
        User::Signer,
    )
    .unwrap();
    subject.start().unwrap();
    let slots = subject.slots();
    disk::check(&mut subject, &mut Full::new(disk), 0..slots).unwrap();
    // What was written by then can be read by the next start.
    subject.signer.stop().unwrap();
    subject.start().unwrap();
}

#[test]
fn a_broken_or_read_only_disk_is_refused_and_survived() {
    if !process::is_root() {
        println!("skipped: making the calls of a signer fail needs root");
        return;
    }
    let mut subject = Subject::new(1).unwrap();
    subject.start().unwrap();
    for (what, fresh) in [(Failing::BROKEN, 0..2), (Failing::READ_ONLY, 2..4)] {
        let mut trouble = Failing::new(&mut subject, what).unwrap();
        disk::check(&mut subject, &mut trouble, fresh).unwrap();
    }
    subject.signer.stop().unwrap();
    subject.start().unwrap();
}

#[test]
fn a_stranger_gets_no_octet_and_the_configured_uid_a_certificate() {
    if !process::is_root() {
        println!("skipped: being a stranger needs root");
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_assurance"));
    let count = strangers::run(program, 1000).unwrap();
    assert_eq!(count, strangers::Count { connected: 1000, received: 0 });
}

#[test]
fn keeper_gate_and_vault_have_given_up_what_they_do_not_need() {
    if !process::is_root() {
        println!("skipped: looking at another user's processes needs root");
        return;
    }
    let mut subject = Subject::new(1).unwrap();
    subject.start().unwrap();
    // Before a request, and after it.
    for round in 0..2 {
        let (socket, state) = (subject.signer.socket(), subject.signer.dir().join("state"));
        let wanted = hardening::wanted(&socket, &state, process::can_lock_memory());
        let processes = subject.processes().unwrap();
        let [keeper, gate, vault] =
            ["serve", "gate", "vault"].map(|role| with_role(&processes, role).unwrap());
        for (pid, wanted) in [keeper, gate, vault].into_iter().zip(&wanted) {
            // The connection before may still be closing.
            let mut findings = Vec::new();
            let looked = wait::until_true("nothing to be found", LIMIT, || {
                findings = hardening::look(pid, wanted)?;
                Ok(findings.is_empty())
            });
            assert!(looked.is_ok(), "round {round}, {pid}: {findings:#?}");
        }
        // Each of them is told from the others.
        assert!(!hardening::look(keeper, &wanted[1]).unwrap().is_empty());
        assert!(!hardening::look(vault, &wanted[0]).unwrap().is_empty());
        let reply = Peer::connect(&socket, LIMIT).unwrap().answered(&subject.request(0)).unwrap();
        assert!(matches!(reply, Reply::Certificate(_)), "{reply:?}");
    }
}

/// The one with a role among the processes of a signer.
fn with_role(processes: &[u32], role: &str) -> Option<u32> {
    let has = |pid: &u32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.contains("onionkeep-signer\0") && words.split('\0').any(|word| word == role)
    };
    processes.iter().copied().find(has)
}

#[test]
fn a_process_that_is_not_hardened_fails_the_same_look() {
    if !process::is_root() {
        println!("skipped: a process with rights to lose needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = process::command("prlimit", User::Harness);
    let script = format!("exec 7</etc/passwd 8<>/dev/tcp/127.0.0.1/{port}; echo ready; sleep 600; true");
    command.args(["--core=unlimited:unlimited", "bash", "-c", &script]);
    let log = dir.path().join("log");
    let process = Process::start("bash", command, &log).unwrap();
    wait::until_true("the plain process", LIMIT, || Ok(process.log()?.contains("ready"))).unwrap();
    let (socket, state) = (dir.path().join("s.sock"), dir.path());
    for wanted in &hardening::wanted(&socket, state, true)[1..] {
        let findings = hardening::look(process.id(), wanted).unwrap();
        let mut words = vec!["NoNewPrivs is 0", "Seccomp is 0", "CapEff is", "dumpable", "core limit"];
        words.extend(
            ["/etc/passwd", "1 sockets", "is no Unix socket"]
                .iter()
                .filter(|word| wanted.sockets != 1 || !word.ends_with("sockets")),
        );
        words.extend(wanted.locked.then_some("not locked"));
        for word in words {
            assert!(findings.iter().any(|finding| finding.contains(word)), "{word}: {findings:#?}");
        }
    }
}
