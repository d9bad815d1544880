//! Tests of the folder of clients: what counts, what does not, and what a change does.

use super::*;
use crate::config::Config;
use crate::config::tests::{A, D, SAMPLE};
use crate::descriptor::ClientKey;
use std::os::unix::fs::PermissionsExt;

/// The line of a client's file.
fn line(octet: u8) -> String {
    ClientKey::from_bytes([octet; 32]).public().to_string()
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// The sample with this folder.
fn config(folder: &Path) -> Config {
    let with = format!("probe_port = 80\nauthorized_clients = \"{}\"", folder.display());
    Config::parse(&SAMPLE.replace("probe_port = 80", &with)).unwrap()
}

#[test]
fn bad_files_are_named_and_let_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "alice.auth", &format!("{}\n", line(1)));
    write(path, "bob.auth", &line(2));
    write(path, "empty.auth", "\n");
    write(path, "form.auth", "hello\n");
    write(path, "key.auth", "descriptor:x25519:AAAA\n");
    write(path, "late.auth", &format!("\n{}\n", line(3)));
    write(path, "long.auth", &"x".repeat(5000));
    write(path, "two.auth", &format!("{}\n\n{}\n", line(4), line(5)));
    write(path, "zwei.auth", &line(1));
    write(path, "not-looked-at.txt", "hello");
    write(path, ".auth", "hello");
    fs::write(path.join("raw.auth"), [0xff; 8]).unwrap();
    fs::create_dir(path.join("dir.auth")).unwrap();
    let read = read(path, 3).unwrap();
    let names: Vec<_> = read.clients.iter().map(|client| client.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "two"]);
    let problems: Vec<_> = read.problems.iter().map(|(file, problem)| format!("{file}: {problem}")).collect();
    for (at, wanted) in [
        "dir.auth: is not a plain file",
        "empty.auth: is empty",
        "form.auth: line 1: a client key is written as",
        "key.auth: line 1: the key of a client is 52 characters of base32",
        "late.auth: is empty",
        "long.auth: is not a text",
        "raw.auth: is not a text",
        "two.auth: line 3: only the first line",
        "zwei.auth: has the key of alice.auth",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(problems[at].starts_with(wanted), "{problems:?}");
    }
    assert_eq!(problems.len(), 9);
}

#[test]
fn a_pipe_without_writer_does_not_stop_the_publisher() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.auth")).status().unwrap();
    assert!(made.success());
    let read = read(folder.path(), 3).unwrap();
    assert!(matches!(read.problems.as_slice(), [(_name, ClientProblem::NotAFile)]), "{read:?}");
}

#[test]
fn a_folder_without_a_good_client_is_closed_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut clients = Clients::new(folder.path(), 3);
    assert!(clients.keys().is_empty());
    write(folder.path(), "bad.auth", "hello");
    let news = clients.look().unwrap().unwrap();
    assert_eq!((news.problems.len(), clients.keys().len()), (1, 0));
    let mut clients = Clients::new(&folder.path().join("missing"), 3);
    assert!(clients.look().unwrap().unwrap().changed);
    assert!(clients.keys().is_empty());
}

#[test]
fn changes_are_noticed_and_only_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "alice.auth", &line(1));
    let mut clients = Clients::new(path, 3);
    assert!(clients.look().unwrap().unwrap().changed);
    assert!(clients.look().unwrap().is_none());
    write(path, "bob.auth", &line(2));
    assert!(clients.look().unwrap().unwrap().changed);
    assert_eq!(clients.keys().len(), 2);
    write(path, "bad.auth", "hello");
    assert!(!clients.look().unwrap().unwrap().changed, "the keys are the same");
    fs::remove_file(path.join("alice.auth")).unwrap();
    assert!(clients.look().unwrap().unwrap().changed);
    write(path, "bob.auth", &line(3));
    // Older kernels count file times in steps of 4 ms.
    let file = File::options().write(true).open(path.join("bob.auth")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(clients.look().unwrap().unwrap().changed, "another key in the same file");
    fs::remove_dir_all(path).unwrap();
    assert!(clients.look().unwrap().unwrap().changed);
    assert!(clients.keys().is_empty(), "without the folder nobody is let in");
}

#[test]
fn too_many_clients_are_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..98_u8 {
        write(folder.path(), &format!("c{number:03}.auth"), &line(number));
    }
    let read = read(folder.path(), 20).unwrap();
    assert_eq!((read.clients.len(), read.problems.len()), (96, 2));
    assert!(
        matches!(&read.problems[0], (name, ClientProblem::NoRoom { most: 96, .. }) if name == "c096.auth")
    );
}

#[test]
fn a_client_for_whom_another_would_be_left_out_is_not_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = config(path);
    for number in 0..367_u16 {
        let octets = [number.to_be_bytes(), [1, 1]].concat().repeat(8);
        let key = ClientKey::from_bytes(octets.try_into().unwrap()).public();
        write(path, &format!("c{number:03}.auth"), &key.to_string());
    }
    add(&config, "last", None, None).unwrap();
    let to = path.join("alice.auth_private");
    // By name alice comes first, and another one would be left out.
    let error = add(&config, "alice", None, Some(&to)).err().unwrap();
    assert!(matches!(error, EditError::NoRoom { points: 3, most: 368, .. }) && error.is_usage(), "{error}");
    assert!(error.advice().contains("client remove NAME"));
    assert!(!to.exists() && !path.join("alice.auth").exists());
    assert!(list(&config, None).unwrap().problems.is_empty());
    remove(&config, "last", None).unwrap();
    add(&config, "alice", None, Some(&to)).unwrap();
}

#[test]
fn what_lies_in_the_way_of_a_clients_file_is_named_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let way = folder.path().join("alice.auth.new");
    fs::write(&way, "whose").unwrap();
    let to = folder.path().join("alice.auth_private");
    let error = add(&config, "alice", None, Some(&to)).err().unwrap();
    assert!(error.to_string().contains("alice.auth.new is in the way") && error.is_usage(), "{error}");
    assert!(!to.exists() && fs::read_to_string(&way).unwrap() == "whose");
    fs::remove_file(way).unwrap();
    add(&config, "alice", None, Some(&to)).unwrap();
}

#[test]
fn add_list_remove() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients");
    let config = config(&path);
    assert!(list(&config, None).unwrap().clients.is_empty());
    let added = add(&config, "alice", None, None).unwrap();
    let secret = added.secret.unwrap();
    assert!(secret.starts_with(A.strip_suffix(".onion").unwrap()));
    assert_eq!(ClientKey::from_auth_private(&secret).ok().map(|key| key.public()), Some(added.public));
    assert_eq!(fs::read_to_string(path.join("alice.auth")).unwrap(), format!("{}\n", added.public));
    assert!(matches!(add(&config, "alice", None, None), Err(EditError::Exists(_))));

    let to = folder.path().join("bob.auth_private");
    let added = add(&config, "bob", None, Some(&to)).unwrap();
    assert!(added.secret.is_none());
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&to).unwrap();
    assert_eq!(ClientKey::from_auth_private(&secret).ok().map(|key| key.public()), Some(added.public));
    assert!(matches!(add(&config, "carol", None, Some(&to)), Err(EditError::Taken(_))));
    assert_eq!(fs::read_to_string(&to).unwrap(), secret, "a key is never written over");

    let names: Vec<_> = list(&config, None).unwrap().clients.into_iter().map(|client| client.name).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "nothing is left over");
    remove(&config, "alice", None).unwrap();
    assert!(matches!(remove(&config, "alice", None), Err(EditError::Unknown(_))));
    assert_eq!(list(&config, None).unwrap().clients.len(), 1);
}

#[test]
fn names_and_services_that_do_not_exist_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    for name in ["", ".", "..", "../alice", "a/b", ".hidden", "a b", "ä", &"x".repeat(65)] {
        assert!(matches!(add(&config, name, None, None), Err(EditError::Name(_))), "{name:?}");
        assert!(matches!(remove(&config, name, None), Err(EditError::Name(_))), "{name:?}");
    }
    let other = D.parse().unwrap();
    assert!(matches!(add(&config, "alice", Some(&other), None), Err(EditError::NoService(_))));
    let open = Config::parse(SAMPLE).unwrap();
    assert!(matches!(add(&open, "alice", None, None), Err(EditError::Which(0))));
    let own = A.parse().unwrap();
    assert!(matches!(add(&open, "alice", Some(&own), None), Err(EditError::Open(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
