//! A plain onion service of a tor: what its folder tells. The key in it is never opened.

use super::{Frontend, ImportError, Imported, Instance, clients_of, plain, read_text};
use crate::clients;
use onionkeep_common::OnionAddress;
use onionkeep_common::config::{Problem, Problems};
use std::path::Path;

/// How many backends are suggested.
const BACKENDS: usize = 2;

/// Reads a `HiddenServiceDir`.
///
/// # Errors
/// [`ImportError`] if it is none, or one of a service that cannot be a frontend.
pub fn tor(folder: &Path) -> Result<Imported, ImportError> {
    // The key's path is for another shell, perhaps on another host.
    let folder = &std::path::absolute(folder).unwrap_or_else(|_no_folder| folder.to_path_buf());
    let hostname = folder.join("hostname");
    let text = read_text(&hostname)?;
    let address: OnionAddress =
        text.trim_end_matches('\n').parse().map_err(|error| ImportError::Problems {
            path: hostname,
            problems: Problems(vec![Problem { line: 1, text: format!("not an onion address: {error}") }]),
        })?;
    if folder.join("ob_config").exists() {
        let why =
            "it has an ob_config, so it is a backend of another address, and a backend cannot be a frontend";
        return Err(ImportError::Unfit { path: folder.clone(), why });
    }
    let key = folder.join("hs_ed25519_secret_key");
    let auth = folder.join("authorized_clients");
    // A folder with any file for a client counts, good or bad: moving in must not open a service to everybody.
    let restricted =
        clients::read(&auth, 1).map(|read| !(read.clients.is_empty() && read.problems.is_empty()));
    let restricted = match restricted {
        Ok(restricted) => restricted,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(ImportError::Unreadable { path: auth, source }),
    };
    let backend = |number: usize| Instance { name: format!("b{number}"), address: None };
    let backends = (1..=BACKENDS).map(backend).collect();
    let mut steps = vec![format!("on the signer's host: onionkeep-signer key import {}", plain(&key))];
    if restricted {
        steps.push(format!(
            "make the folder {} and copy {}/*.auth into it: until then nobody can read the descriptor",
            clients_of(&address),
            plain(&auth)
        ));
    }
    steps.extend(
        [
            "set up the backends with the lines at the end, on this host in a second tor (Debian: tor-instance-create NAME), and write their \
             addresses into [[service.backend]]",
            "start this publisher beside the old tor; as soon as it logs `taken-over` add `PublishHidServDescriptors 0` to the old torrc and \
             reload that tor; this counts for all of its onion services, so move others into a second tor first",
            "do not stop the old tor, nor take its HiddenServiceDir out, before the time that this line names as answers-until: \
             clients that know the old descriptor still come there (docs/operate/migrate.md)",
        ]
        .map(str::to_owned),
    );
    let what = "HiddenServicePort and all other lines of the old torrc stay with the backends";
    let notes = vec![Problem { line: 1, text: what.to_owned() }];
    let services = vec![Frontend { address: Some(address), key, restricted, backends }];
    Ok(Imported { status_socket: None, services, notes, steps })
}
