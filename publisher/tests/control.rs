//! A running publisher that is changed: the control socket's commands, reload, and what survives a restart. No tor runs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at anything unexpected"
)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rig::{BACKENDS, FRONTENDS, Rig, is, service};

#[path = "support/rig.rs"]
mod rig;

#[test]
fn backends_are_changed_and_a_restart_keeps_it_and_a_reload_ends_it() {
    let mut rig = Rig::new(&service(FRONTENDS[0], 1));
    assert_eq!(rig.done(&["backend", "weight", "l5sid", "b0", "3"]), "b0 has weight 3\n");
    rig.done(&["backend", "drain", FRONTENDS[0], "b0", "--force"]);
    rig.done(&["backend", "add", "l5sid", "new", BACKENDS[1], "2"]);
    let changed = [
        is("b0", 3, true, Some("weight 1 in the file, drained at run time")),
        is("new", 2, false, Some("added at run time")),
    ];
    assert_eq!(rig.backends(), changed);
    let table = rig.ask(&["status"]).1;
    assert!(table.contains("weight 1 in the file, drained at run time"), "{table}");
    rig.stop();
    rig.start();
    assert_eq!(rig.backends(), changed, "after a restart");
    rig.done(&["backend", "remove", "l5sid", "b0", "--force"]);
    assert_eq!(rig.status()["services"][0]["removed"], serde_json::json!(["b0"]));
    let end = "[...]kenl5sid.onion";
    let over =
        format!("run-time changes that end: {end} new (added at run time), {end} b0 (removed at run time)");
    assert_eq!(rig.done(&["reload"]), format!("0 services new, 0 gone, 1 changed, 0 as before; {over}\n"));
    assert!(rig.log().contains(&over), "{}", rig.log());
    assert_eq!(rig.backends(), [is("b0", 1, false, None)]);
    rig.stop();
    rig.start();
    assert_eq!(rig.backends(), [is("b0", 1, false, None)], "after a restart");
}

/// A tor that lets everybody in, is never ready, and says `news` to whoever subscribes to events.
fn tor(path: &Path, news: &'static str) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let answer = match line.split(' ').next().unwrap() {
                    "PROTOCOLINFO" => {
                        "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250-VERSION Tor=\"0.4.9.11\"\r\n250 OK\r\n".to_owned()
                    }
                    "SETEVENTS" => format!("250 OK\r\n{news}"),
                    "GETINFO" => "552 Unrecognized key\r\n".to_owned(),
                    _other => "250 OK\r\n".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
}

#[test]
fn tors_word_about_the_clock_is_an_alarm() {
    let mut rig = Rig::new(&service(FRONTENDS[0], 1));
    rig.stop();
    tor(&rig.path("tor"), "650 STATUS_GENERAL WARN CLOCK_SKEW SKEW=-7200 SOURCE=OR:192.0.2.1:443\r\n");
    let socket = rig.path("metrics.sock").display().to_string();
    rig.write(&format!("{}[metrics]\nlisten = \"unix:{socket}\"\n", service(FRONTENDS[0], 1)));
    rig.start();
    let wanted = "onionkeep_alarms{alarm=\"clock-skew\",service=\"\"} 1.0";
    rig.until("the alarm", |rig| rig.metrics().contains(wanted));
    assert!(rig.metrics().contains("\nonionkeep_clock_skew_seconds -7200.0\n"));
    let status = rig.status();
    assert_eq!(status["tor"]["clock_skew"], -7200);
    let said = "our clock is 7200 s behind the network's: set the clock of this machine";
    let about = |alarm: &&Value| alarm["name"] == "clock-skew" && alarm["text"] == said;
    assert!(status["alarms"].as_array().unwrap().iter().any(|alarm| about(&alarm)), "{status:#}");
    assert!(rig.log().contains(" warn alarm name=clock-skew state=raised what="), "{}", rig.log());
}

#[test]
fn a_refused_reload_is_one_alarm_in_log_status_and_metrics() {
    let mut rig = Rig::new(&service(FRONTENDS[0], 1));
    rig.stop();
    let socket = rig.path("metrics.sock").display().to_string();
    let services = format!("{}[metrics]\nlisten = \"unix:{socket}\"\n", service(FRONTENDS[0], 1));
    rig.write(&services);
    rig.start();
    let is_raised =
        |rig: &Rig| rig.metrics().contains("\nonionkeep_alarms{alarm=\"reload-refused\",service=\"\"} 1.0\n");
    assert!(!is_raised(&rig), "{}", rig.metrics());
    std::fs::write(rig.path("p.toml"), "nonsense").unwrap();
    for _twice in 0..2 {
        rig.signal("-HUP");
        rig.until("the alarm", is_raised);
    }
    assert!(rig.metrics().contains("onionkeep_tor_up 0.0"));
    assert!(!rig.metrics().contains(FRONTENDS[0]), "labels show addresses by their ends");
    rig.write(&services);
    let status = rig.status();
    let alarms = status["alarms"].as_array().unwrap();
    let names: Vec<_> = alarms.iter().map(|alarm| alarm["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"reload-refused"), "{status:#}");
    assert!(status["warnings"].to_string().contains("the configuration file was refused"), "{status:#}");
    let (log, line) = (rig.log(), "warn alarm name=reload-refused state=raised what=");
    assert_eq!(log.matches(line).count(), 1, "{log}");
    // Another place needs a restart.
    rig.write(&services.replace("metrics.sock", "other.sock"));
    let (code, _stdout, stderr) = rig.ask(&["reload"]);
    assert!(code == 2 && stderr.contains("a reload cannot change metrics.listen"), "{stderr}");
}

#[test]
fn an_edited_list_in_the_file_counts_more_than_what_was_changed_before() {
    let mut rig = Rig::new(&service(FRONTENDS[0], 1));
    rig.done(&["backend", "weight", "l5sid", "b0", "3"]);
    rig.stop();
    rig.write(&service(FRONTENDS[0], 2));
    rig.start();
    assert_eq!(rig.backends(), [is("b0", 1, false, None), is("b1", 1, false, None)]);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let rig = Rig::new(&service(FRONTENDS[0], 2));
    let before = rig.backends();
    let words: [(&[&str], i32, &str); 9] = [
        (&["weight", "l5sid", "b0", "0"], 2, "0 is no weight"),
        (&["weight", "l5sid", "b0", "-5"], 2, "-5 is no weight"),
        (&["weight", "l5sid", "b0", "1000000"], 2, "1000000 is no weight"),
        (&["weight", "l5sid", "b7", "2"], 2, "no backend \"b7\""),
        (&["weight", "xxxxd", "b0", "2"], 2, "no service of this publisher"),
        (&["weight", "sid", "b0", "2"], 2, "\"sid\" is too short"),
        (&["drain", "l5sid", "b0"], 3, "no other backend is up"),
        (&["remove", "l5sid", "b0"], 3, "no other backend is up"),
        (&["add", "l5sid", "b2", FRONTENDS[0]], 2, "is a frontend"),
    ];
    for (words, wanted, why) in words {
        let (code, stdout, stderr) = rig.ask(&[&["backend"], words].concat());
        assert_eq!((code, stdout.as_str()), (wanted, ""), "{words:?}: {stderr}");
        assert!(stderr.contains(why) && stderr.contains("\ntry: "), "{words:?}: {stderr}");
    }
    assert_eq!(rig.backends(), before);
}

#[test]
fn a_bad_reload_leaves_the_old_running_and_says_why() {
    let rig = Rig::new(&service(FRONTENDS[0], 2));
    let (before, addresses) = (rig.backends(), rig.addresses());
    let good = rig.text(&service(FRONTENDS[0], 2));
    let with = |line: &str| good.replacen("signer = ", &format!("{line}\nsigner = "), 1);
    let second = service(FRONTENDS[1], 1);
    let password = good.replace("[tor]\n", "[tor]\npassword = \"file:/nonexistent/password\"\n");
    for (text, why) in [
        (good.replace("b1", "b0"), "another backend of this service has this name"),
        (good.replace("/tor\"", "/other-tor\""), "a reload cannot change tor.control"),
        (good.replace("/state\"", "/other-state\""), "a reload cannot change state_dir"),
        (with("mode = \"many\""), "mode: wanted is \"ordinary\", \"wide\" or \"distinct\""),
        (with("authorized_clients = \"clients\""), "authorized_clients: wanted is an absolute path"),
        (format!("{good}client_key = \"file:/nonexistent/key\"\n"), "cannot use the file /nonexistent/key"),
        (password, "password: cannot use the file /nonexistent/password"),
        // A good service more does not come alone, and one that is gone stays until all is good.
        (format!("{good}{second}{}", second.replace(FRONTENDS[1], BACKENDS[1])), "is a frontend"),
        (rig.text(&second.replace("\nname", "\nweight = 0\nname")), "weight: wanted is"),
        (String::new(), "state_dir is missing"),
    ] {
        std::fs::write(rig.path("p.toml"), &text).unwrap();
        let from = rig.log().len();
        let (code, stdout, stderr) = rig.ask(&["reload"]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{why}: {stderr}");
        assert!(stderr.contains(why) && stderr.contains("\ntry: "), "{why}: {stderr}");
        let heard =
            text.is_empty() || rig.log().split_off(from).contains(" error control command=reload error=");
        assert!(heard, "{why}: the publisher has to know that a restart would fail: {}", rig.log());
        // A signal tells nobody but the log.
        let from = rig.log().len();
        rig.signal("-HUP");
        rig.until(why, |rig| {
            let log = rig.log().split_off(from);
            let refused = |line: &&str| line.contains(" error control command=reload error=");
            log.lines().filter(refused).any(|line| {
                line.contains(&why.replace('"', "\\\"")) && line.ends_with("done=\"nothing changed\"")
            })
        });
        std::fs::write(rig.path("p.toml"), &good).unwrap();
        assert_eq!((rig.backends(), rig.addresses()), (before.clone(), addresses.clone()), "{why}");
    }
}

#[test]
fn a_wrong_configuration_keeps_nobody_from_looking_or_draining() {
    let rig = Rig::new(&service(FRONTENDS[0], 2));
    let wrong = rig.text(&service(FRONTENDS[0], 2)).replace("signer = ", "singer = ");
    std::fs::write(rig.path("p.toml"), wrong).unwrap();
    assert_eq!(rig.ask(&["reload"]).0, 2);
    let (code, stdout, stderr) = rig.ask(&["status", "--json"]);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == 9 && status["alarms"].to_string().contains("reload-refused"), "{code}: {status:#}");
    assert!(stderr.contains("warning: a restart would fail: ") && stderr.contains("singer"), "{stderr}");
    let (code, stdout, stderr) = rig.ask(&["backend", "weight", "[...]yhkenl5sid.ONION", "b0", "3"]);
    assert!(
        code == 0 && !stdout.is_empty() && stderr.contains("warning: a restart would fail: "),
        "{code}: {stderr}"
    );
    let (code, _stdout, stderr) = rig.ask(&["backend", "drain", "l5sid", "b7"]);
    assert!(code == 2 && stderr.contains("no backend \"b7\""), "{stderr}");
}

#[test]
fn authorized_clients_with_a_bad_line_close_the_service_and_the_line_is_named() {
    let rig = Rig::new(&service(FRONTENDS[0], 1));
    std::fs::create_dir(rig.path("clients")).unwrap();
    std::fs::write(rig.path("clients/alice.auth"), "descriptor:x25519:NONSENSE\n").unwrap();
    let clients = format!("authorized_clients = \"{}\"\nsigner = ", rig.path("clients").display());
    rig.write(&service(FRONTENDS[0], 1).replacen("signer = ", &clients, 1));
    assert_eq!(rig.done(&["reload"]), "0 services new, 0 gone, 1 changed, 0 as before\n");
    let log = rig.log();
    let named = |line: &str| {
        line.contains(" warn client-skipped ") && line.contains(" file=alice.auth problem=\"line 1: ")
    };
    assert!(log.lines().any(named), "{log}");
    let alarms = rig.status()["alarms"].to_string();
    assert!(alarms.contains("no-clients"), "it is open to everybody: {alarms}");
}

#[test]
fn a_reload_changes_the_mode() {
    let rig = Rig::new(&service(FRONTENDS[0], 1));
    assert_eq!(rig.status()["services"][0]["mode"], "ordinary");
    rig.write(&service(FRONTENDS[0], 1).replacen("signer = ", "mode = \"wide\"\nsigner = ", 1));
    assert_eq!(rig.done(&["reload"]), "0 services new, 0 gone, 1 changed, 0 as before\n");
    assert_eq!(rig.status()["services"][0]["mode"], "wide");
}

#[test]
fn sighup_starts_new_services_and_ends_old_ones() {
    let rig = Rig::new(&service(FRONTENDS[0], 1));
    let (first, second) = (format!("{}.onion", FRONTENDS[0]), format!("{}.onion", FRONTENDS[1]));
    rig.write(&format!("{}{}", service(FRONTENDS[0], 1), service(FRONTENDS[1], 2)));
    rig.signal("-HUP");
    rig.until("second service", |rig| rig.addresses() == [first.clone(), second.clone()]);
    rig.write(&service(FRONTENDS[1], 2));
    assert_eq!(rig.done(&["reload"]), "0 services new, 1 gone, 0 changed, 1 as before\n");
    assert_eq!(rig.addresses(), [second]);
}

#[test]
fn without_a_control_socket_nothing_is_asked() {
    let rig = Rig::new(&service(FRONTENDS[0], 1));
    let text = rig.text(&service(FRONTENDS[0], 1));
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("control_socket")).collect();
    std::fs::write(rig.path("p.toml"), text.join("\n")).unwrap();
    let (code, _stdout, stderr) = rig.ask(&["reload"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("no control_socket"), "{stderr}");
}
