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
