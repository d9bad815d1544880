//! An onion service of the private network with its web service: a backend of a frontend, or a plain one to compare with.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::web::Web;
use super::{Control, Network, Node};
use crate::files;
use crate::process::User;
use crate::wait::{self, Seen};

/// What kind of onion service a tor serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind<'a> {
    /// Nothing special: C tor's own look.
    Plain,
    /// A backend that also answers for this frontend address (with `.onion`).
    BackendOf(&'a str),
}

/// A tor with one onion service whose web service answers its name.
pub struct Backend {
    /// Also the answer of the web service.
    name: String,
    /// Its tor.
    node: Node,
    /// Behind it; goes on while the tor is down.
    web: Web,
    /// With `.onion`.
    address: String,
    /// Hears of the uploads of the running tor.
    uploads: Control,
}

impl Backend {
    /// Starts web service and tor, and waits for the address, not yet for the descriptor.
    pub fn start(network: &Network, name: &str, kind: ServiceKind<'_>) -> Result<Self> {
        Self::start_with(network, name, kind, "")
    }

    /// [`Backend::start`] with more torrc lines.
    pub fn start_with(network: &Network, name: &str, kind: ServiceKind<'_>, extra: &str) -> Result<Self> {
        let web = Web::start(name)?;
        let service = service_dir(&network.dir.join(name));
        files::make_dir(&network.dir.join(name), User::Tor, 0o750)?;
        files::make_dir(&service, User::Tor, 0o700)?;
        let mut torrc = format!(
            "SocksPort 0\nHiddenServiceDir {}\nHiddenServiceVersion 3\nHiddenServicePort 80 127.0.0.1:{}\n",
            service.display(),
            web.port()
        );
        if let ServiceKind::BackendOf(master) = kind {
            torrc.push_str("HiddenServiceOnionBalanceInstance 1\n");
            files::write(
                &service.join("ob_config"),
                format!("MasterOnionAddress {master}\n"),
                User::Tor,
                0o600,
            )?;
        }
        torrc.push_str(extra);
        let mut node = network.tor(name, &torrc)?;
        let uploads = listen(&mut node)?;
        let address = wait::until(&format!("the address of {name}"), Duration::from_secs(20), || {
            node.must_run()?;
            let text = std::fs::read_to_string(service.join("hostname"))?;
            Ok(if text.ends_with(".onion\n") {
                Seen::Ready(text.trim().to_owned())
            } else {
                Seen::NotYet(text)
            })
        })?;
        Ok(Self { name: name.to_owned(), node, web, address, uploads })
    }

    /// Its name, which is what a visitor reads.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address, with `.onion`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its tor.
    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Waits until an HSDir has accepted a descriptor of this service from the running tor.
    pub fn wait_published(&mut self, limit: Duration) -> Result<()> {
        let wanted = format!("HS_DESC UPLOADED {} ", self.address.trim_end_matches(".onion"));
        let what = format!("an upload of {}", self.name);
        self.uploads.event(&what, limit, |line| line.text.starts_with(&wanted)).map(drop)
    }

    /// Ends its tor at once; the web service goes on.
    pub fn kill(&mut self) -> Result<()> {
        self.node.kill()
    }

    /// Makes its web service answer 500, or as it should again; its tor goes on.
    pub fn set_web_ill(&self, ill: bool) {
        self.web.set_ill(ill);
    }

    /// Makes it answer those who know its introduction points, but publish no more, as an operator does: torrc and reload.
    pub fn publish_no_more(&mut self) -> Result<()> {
        self.node.add_to_torrc("PublishHidServDescriptors 0\n")?;
        self.node.reload()?;
        wait::until(&format!("{} to have read its torrc", self.name), Duration::from_secs(20), || {
            let lines = self.uploads.ask("GETCONF PublishHidServDescriptors")?;
            let read = lines.iter().any(|line| line.text.ends_with("=0"));
            Ok(if read { Seen::Ready(()) } else { Seen::NotYet("still the old one".into()) })
        })
    }

    /// Starts its tor again.
    pub fn restart(&mut self) -> Result<()> {
        self.node.start()?;
        self.uploads = listen(&mut self.node)?;
        Ok(())
    }

    /// `HiddenServiceDir`.
    #[must_use]
    pub fn service_dir(&self) -> PathBuf {
        service_dir(self.node.dir())
    }
}

/// A control connection that hears of uploads.
fn listen(node: &mut Node) -> Result<Control> {
    let mut control = node.control()?;
    control.ask("SETEVENTS HS_DESC")?;
    Ok(control)
}

/// Where a node keeps its onion service.
fn service_dir(node_dir: &std::path::Path) -> PathBuf {
    node_dir.join("service")
}
