//! What a request makes of a service's list of backends, or why not. Pure: nothing is changed here.

use super::{Objection, Request};
use crate::config::{self, BackendConfig};
use onionkeep_common::OnionAddress;

/// What a change is judged by.
pub struct Scene<'a> {
    /// The backends as they are.
    pub backends: &'a [BackendConfig],
    /// The names of those that are up.
    pub up: &'a [String],
    /// The addresses of all frontends.
    pub frontends: &'a [OnionAddress],
}

/// The new list of backends, and a sentence that says what changes.
///
/// # Errors
/// [`Objection`]: nothing is to be changed.
pub fn changed(scene: &Scene<'_>, request: &Request) -> Result<(Vec<BackendConfig>, String), Objection> {
    match request {
        Request::Reload {} => Ok((scene.backends.to_vec(), String::new())),
        Request::Weight { backend, weight, .. } => {
            let weight = read_weight(*weight)?;
            let say = format!("{backend} has weight {weight}");
            scene.with(backend, say, |backend| backend.weight = weight)
        }
        Request::Drain { backend, force, .. } => {
            scene.find(backend)?;
            if !force {
                scene.others_can_serve(backend)?;
            }
            let say = format!("{backend} drains: while others are up, no new clients are sent to it");
            scene.with(backend, say, |backend| backend.drain = true)
        }
        Request::Undrain { backend, .. } => {
            scene.with(backend, format!("{backend} gets new clients again"), |backend| backend.drain = false)
        }
        Request::Add { backend, address, weight, .. } => scene.add(backend, address, *weight),
        Request::Remove { backend, force, .. } => scene.remove(backend, *force),
    }
}

/// Reads a weight.
fn read_weight(weight: i64) -> Result<u32, Objection> {
    let good = u32::try_from(weight).ok().filter(|weight| config::WEIGHTS.contains(&u64::from(*weight)));
    let (least, most) = (config::WEIGHTS.start(), config::WEIGHTS.end());
    let why = || format!("{weight} is no weight: wanted is a whole number from {least} to {most}");
    good.ok_or_else(|| Objection::wrong(why(), "to send no new clients to a backend, drain it"))
}

impl Scene<'_> {
    /// The backend with this name.
    fn find(&self, name: &str) -> Result<usize, Objection> {
        self.backends.iter().position(|backend| backend.name == name).ok_or_else(|| {
            let names: Vec<_> = self.backends.iter().take(20).map(|backend| backend.name.as_str()).collect();
            let hint = format!("its backends are {}", names.join(", "));
            Objection::wrong(format!("the service has no backend {name:?}"), hint)
        })
    }

    /// The list with one backend changed.
    fn with(
        &self,
        name: &str,
        say: String,
        change: impl Fn(&mut BackendConfig),
    ) -> Result<(Vec<BackendConfig>, String), Objection> {
        let at = self.find(name)?;
        let mut backends = self.backends.to_vec();
        backends.get_mut(at).into_iter().for_each(change);
        Ok((backends, say))
    }

    /// Whether another backend is up and does not drain.
    fn others_can_serve(&self, name: &str) -> Result<(), Objection> {
        let can = |other: &BackendConfig| other.name != name && !other.drain && self.up.contains(&other.name);
        if self.backends.iter().any(can) {
            return Ok(());
        }
        let why = format!("no other backend is up and not drained: nobody could take the clients of {name}");
        Err(Objection::refused(why, "bring another backend up first, or say --force"))
    }

    /// The list with one more.
    fn add(&self, name: &str, address: &str, weight: i64) -> Result<(Vec<BackendConfig>, String), Objection> {
        let wrong = |why: String| Objection::wrong(why, "give a new name, its onion address and a weight");
        let address: OnionAddress = address.parse().map_err(|error| wrong(format!("address: {error}")))?;
        let weight = read_weight(weight)?;
        if !config::is_name(name) {
            return Err(wrong(format!("name: {}", config::NAME_RULE)));
        }
        if self.backends.iter().any(|other| other.name == name) {
            return Err(wrong(format!("another backend of this service has the name {name}")));
        }
        if let Some(other) = self.backends.iter().find(|other| other.address == address) {
            return Err(wrong(format!("this address is that of backend {}", other.name)));
        }
        if self.frontends.contains(&address) {
            return Err(wrong("this address is a frontend, which cannot be a backend".to_owned()));
        }
        if self.backends.len() >= config::BACKENDS_MAX {
            let most = config::BACKENDS_MAX;
            return Err(Objection::refused(
                format!("a service has at most {most} backends"),
                "remove one first",
            ));
        }
        let mut backends = self.backends.to_vec();
        backends.push(BackendConfig {
            name: name.to_owned(),
            address,
            weight,
            drain: false,
            client_key: None,
            ignore_pow: false,
        });
        Ok((backends, format!("{name} is added: it gets clients once its descriptor is fetched")))
    }

    /// The list with one less.
    fn remove(&self, name: &str, force: bool) -> Result<(Vec<BackendConfig>, String), Objection> {
        let at = self.find(name)?;
        if self.backends.len() == 1 {
            let why = format!("{name} is the only backend: a service without backends serves nobody");
            return Err(Objection::refused(why, "add another one first"));
        }
        if !force {
            self.others_can_serve(name)?;
        }
        let mut backends = self.backends.to_vec();
        backends.remove(at);
        Ok((backends, format!("{name} is removed")))
    }
}
