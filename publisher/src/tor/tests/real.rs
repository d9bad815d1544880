//! One conversation with a real tor that has no network.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};

/// A tor process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// Starts tor with both kinds of control port; `None` where tor is not installed.
fn start(folder: &Path) -> Option<Running> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let mut tor = Process::new("tor");
    tor.args(["--defaults-torrc", "/dev/null", "-f", "/dev/null", "--ignore-missing-torrc"]);
    tor.args(["--DataDirectory", &path("data"), "--DisableNetwork", "1", "--SocksPort", "0"]);
    tor.args(["--ControlSocket", &path("control"), "--ControlPort", "auto", "--CookieAuthentication", "1"]);
    tor.args(["--ControlPortWriteToFile", &path("port"), "--Log", &format!("notice file {}", path("log"))]);
    tor.stdout(Stdio::null()).stderr(Stdio::null());
    match tor.spawn() {
        Ok(child) => Some(Running(child)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("tor: {error}"),
    }
}

/// The control ports that tor wrote down, once it has.
async fn ports(folder: &Path) -> Vec<String> {
    for _try in 0..500 {
        let text = std::fs::read_to_string(folder.join("port")).unwrap_or_default();
        let tcp = text.lines().find_map(|line| line.strip_prefix("PORT=")).map(str::to_owned);
        if let Some(tcp) = tcp.filter(|_port| folder.join("control").exists()) {
            return vec![format!("unix:{}", folder.join("control").display()), tcp];
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("tor did not come up: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
}

#[tokio::test]
async fn a_real_tor_lets_us_in_and_answers() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_tor) = start(folder.path()) else {
        assert!(std::env::var_os("CI").is_none(), "tor is not installed");
        eprintln!("skipped: tor is not installed");
        return;
    };
    for address in ports(folder.path()).await {
        let (tor, _news) = Tor::connect(&config(&address)).await.unwrap();
        assert!(tor.version().await.unwrap().starts_with("0.4."));
        assert!(!tor.is_testing_network().await.unwrap());
        assert!(!tor.enough_dir_info().await.unwrap());
        assert_eq!(tor.bootstrap().await.unwrap().percent, 0);
        assert_eq!(tor.consensus_valid_after().await.unwrap(), None);
        assert!(!tor.has_live_consensus(clock::now()).await.unwrap());
        tor.signal_active().await.unwrap();
        let error = tor.wait_bootstrapped(Duration::from_millis(100)).await.unwrap_err();
        assert!(error.to_string().contains("DisableNetwork"), "{error}");
        let error = tor.network().await.unwrap_err();
        assert!(matches!(error.code(), Some(551 | 552)), "{error}");
        let post = tor.post(&onion(), Fingerprint([1; 20]), "no descriptor\n", SOON).await;
        assert!(
            matches!(post, Err(PostFailure::UnknownServer(_) | PostFailure::InvalidDescriptor)),
            "{post:?}"
        );
        let fetch = tor.fetch(&onion(), &[Fingerprint([1; 20])], SOON).await;
        assert!(matches!(fetch.as_slice(), [(_, Err(FetchFailure::UnknownServer(_)))]), "{fetch:?}");
    }
}

/// The log of a tor with the lines of `torrc frontend` for sockets in this folder, which has Debian's mode; empty if both sockets are there.
async fn log_of_frontend(name: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path(name)).unwrap();
    std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o2755)).unwrap();
    let sockets = ["control", "socks"].map(|socket| folder.path().join(name).join(socket));
    let [control, socks] = sockets.each_ref().map(|socket| format!("unix:{}", socket.display()));
    let sample = crate::config::tests::SAMPLE.replace("unix:/run/tor/control", &control);
    let sample = sample.replace("127.0.0.1:9050", &socks);
    let lines = crate::torrc::Frontend(&crate::config::Config::parse(&sample).unwrap()).to_string();
    // A network of one authority that is not there.
    let alone =
        format!("DirAuthority nobody orport=9 127.0.0.1:9 {}\nUseDefaultFallbackDirs 0\n", "F".repeat(40));
    std::fs::write(path("torrc"), format!("{lines}{alone}")).unwrap();
    let mut tor = Process::new("tor");
    tor.args(["--defaults-torrc", "/dev/null", "-f", &path("torrc"), "--DataDirectory", &path("data")]);
    let log = std::fs::File::create(path("log")).unwrap();
    let _running = match tor.stdout(log).spawn() {
        Ok(child) => Running(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("tor: {error}"),
    };
    // tor makes the sockets first, then the cookie, and then lets our group read it.
    let cookie = format!("{}.authcookie", sockets[0].display());
    let mode =
        || std::fs::metadata(&cookie).map(|cookie| format!("{:o}", cookie.permissions().mode() & 0o777));
    for _try in 0..500 {
        let readable = mode().is_ok_and(|mode| mode == "640");
        if readable && sockets.iter().all(|socket| socket.exists()) {
            return Some(String::new());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = std::fs::read_to_string(path("log")).unwrap_or_default();
    Some(format!("no sockets, or a cookie that our group does not read ({:?}): {log}", mode()))
}

#[tokio::test]
async fn a_real_tor_opens_the_sockets_of_torrc_frontend_in_a_folder_as_debian_makes_it() {
    for name in ["run", "with a space"] {
        let Some(log) = log_of_frontend(name).await else {
            assert!(std::env::var_os("CI").is_none(), "tor is not installed");
            eprintln!("skipped: tor is not installed");
            return;
        };
        assert_eq!(log, "", "{name}");
    }
}
