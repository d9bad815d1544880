//! Many small services in one tor process: each has an address, a web service and introduction points of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::web::Web;
use super::{Control, Network, Node};
use crate::files;
use crate::process::User;
use crate::wait::{self, Seen};

/// A tor with several onion services, all backends of the same frontends, or plain ones.
pub struct Crowd {
    /// Its tor.
    node: Node,
    /// Behind the services; they answer the services' names.
    _webs: Vec<Web>,
    /// Names and addresses, with `.onion`.
    members: Vec<(String, String)>,
    /// Hears of the uploads of the tor.
    uploads: Control,
}

impl Crowd {
    /// Starts the tor with `count` services `NAME-1`, `NAME-2`, ... and waits for the addresses, not for the descriptors.
    ///
    /// They answer for the frontends `masters` (with `.onion`) too; without any they are plain services.
    pub fn start(network: &Network, name: &str, count: usize, masters: &[String]) -> Result<Self> {
        let dir = network.dir.join(name);
        files::make_dir(&dir, User::Tor, 0o750)?;
        let (mut torrc, mut webs, mut places) = ("SocksPort 0\n".to_owned(), Vec::new(), Vec::new());
        for number in 1..=count {
            let member = format!("{name}-{number}");
            let (web, place) = (Web::start(&member)?, dir.join(format!("service{number}")));
            files::make_dir(&place, User::Tor, 0o700)?;
            torrc.push_str(&format!(
                "HiddenServiceDir {}\nHiddenServiceVersion 3\nHiddenServicePort 80 127.0.0.1:{}\n",
                place.display(),
                web.port()
            ));
            if !masters.is_empty() {
                torrc.push_str("HiddenServiceOnionBalanceInstance 1\n");
                let lines: String =
                    masters.iter().map(|master| format!("MasterOnionAddress {master}\n")).collect();
                files::write(&place.join("ob_config"), lines, User::Tor, 0o600)?;
            }
            webs.push(web);
            places.push((member, place.join("hostname")));
        }
        let mut node = network.tor(name, &torrc)?;
        let mut uploads = node.control()?;
        uploads.ask("SETEVENTS HS_DESC")?;
        let members = wait::until(&format!("the addresses of {name}"), Duration::from_secs(20), || {
            node.must_run()?;
            let read = |(member, hostname): &(String, std::path::PathBuf)| {
                let text = std::fs::read_to_string(hostname).ok()?;
                text.ends_with(".onion\n").then(|| (member.clone(), text.trim().to_owned()))
            };
            let members: Option<Vec<_>> = places.iter().map(read).collect();
            Ok(members.map_or_else(|| Seen::NotYet("not all are written".to_owned()), Seen::Ready))
        })?;
        Ok(Self { node, _webs: webs, members, uploads })
    }

    /// Its tor.
    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Names and addresses, with `.onion`.
    #[must_use]
    pub fn members(&self) -> &[(String, String)] {
        &self.members
    }

    /// Waits until an HSDir has accepted a descriptor of each service.
    pub fn wait_published(&mut self, limit: Duration) -> Result<()> {
        let start = Instant::now();
        let mut missing: Vec<_> = self
            .members
            .iter()
            .map(|(_name, address)| address.trim_end_matches(".onion").to_owned())
            .collect();
        while !missing.is_empty() {
            self.node.must_run()?;
            let what = format!("uploads of {} services of {}", missing.len(), self.node.name());
            let left = limit.saturating_sub(start.elapsed());
            let event = self.uploads.event(&what, left, |line| line.text.starts_with("HS_DESC UPLOADED "))?;
            let address = event.text.split(' ').nth(2).context("no address in the event")?.to_owned();
            missing.retain(|other| *other != address);
        }
        Ok(())
    }
}
