//! Locks where those of the system hold on one node alone, or not at all: shared file systems of clusters.
//!
//! Who has the lease is who linked a file of theirs to its name, which the server lets one do. The owner writes to
//! it every tenth of a bound (`TOXSCREEN_LEASE_SECONDS`); of an owner that has not for that long, or whose process is gone from this machine, the
//! lease is taken over. Times are the server's: its clock alone says how old a file is.
//!
//! A folder has leases if [`MARK`] lies in it, so that all who come decide alike.

use crate::files::{self, FileError, failed};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// The file that says that a study's folder has leases, and why.
pub const MARK: &str = ".leases";

/// How deep below a study's folder a lock may lie.
const DEPTH: usize = 3;

/// Time after which an owner that is not heard of has no lease any more: `TOXSCREEN_LEASE_SECONDS`, or 5 min.
fn bound() -> Duration {
    let given = std::env::var("TOXSCREEN_LEASE_SECONDS").ok();
    let given = given.and_then(|text| text.parse::<f64>().ok());
    let seconds = given.filter(|s| (0.1..=86_400.0).contains(s));
    Duration::from_secs_f64(seconds.unwrap_or(300.0))
}

/// Whether the lock at `path` is a lease.
pub fn applies(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).take(DEPTH);
    above.any(|dir| dir.join(MARK).is_file())
}

/// Decides whether the folder of a study has leases, once; why it has from now on, if that is new.
///
/// # Errors
/// When the folder cannot be used.
pub fn choose(dir: &Path) -> Result<Option<String>, FileError> {
    let mark = dir.join(MARK);
    files::no_link(&mark)?;
    if mark.is_file() {
        return Ok(None);
    }
    let Some(why) = needed(dir)? else {
        return Ok(None);
    };
    files::write_atomic(&mark, format!("{why}\n").as_bytes())?;
    Ok(Some(why))
}

/// Why the system's locks do not do in a folder.
fn needed(dir: &Path) -> Result<Option<String>, FileError> {
    if std::env::var_os("TOXSCREEN_LEASES").is_some_and(|value| value == "1") {
        return Ok(Some("TOXSCREEN_LEASES asks for them".to_owned()));
    }
    if let Some(why) = broken(dir)? {
        return Ok(Some(why));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let dir = fs::canonicalize(dir).map_err(failed("find", dir))?;
    Ok(of_mount(&mounts, &dir))
}

/// Whether a lock keeps another one out, tried.
fn broken(dir: &Path) -> Result<Option<String>, FileError> {
    // What a kill leaves of it is removed with what was left unfinished.
    let path = dir.join(unique(".unfinished-lock"));
    let one = OpenOptions::new().create_new(true).write(true).open(&path);
    let one = one.map_err(failed("open", &path))?;
    // Whoever runs the study removes what is unfinished: then locks do work here.
    let two = match OpenOptions::new().write(true).open(&path) {
        Ok(two) => two,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed("open", &path)(e)),
    };
    let why = match (one.try_lock(), two.try_lock()) {
        (Ok(()), Err(fs::TryLockError::WouldBlock)) => None,
        (Ok(()), Ok(())) => Some("a lock on a file keeps nobody out here".to_owned()),
        (Err(error), _) | (_, Err(error)) => Some(format!("files cannot be locked here: {error}")),
    };
    remove(&path)?;
    Ok(why)
}

/// Why locks are not seen by other nodes on the file system that a folder lies on.
fn of_mount(mounts: &str, dir: &Path) -> Option<String> {
    let (_, kind, options) = mounts
        .lines()
        .filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(4);
            let place = left.next()?.replace("\\040", " ");
            let mut right = right.split(' ');
            let (kind, _) = (right.next()?, right.next());
            let own = format!("{},{}", left.next()?, right.next().unwrap_or_default());
            dir.starts_with(&place).then_some((place.len(), kind, own))
        })
        .max_by_key(|(length, ..)| *length)?;
    let has = |wanted: &str| options.split(',').any(|option| option == wanted);
    let local = match kind {
        "nfs" | "nfs4" => has("nolock") || has("local_lock=all") || has("local_lock=flock"),
        "lustre" => !has("flock"),
        "gpfs" | "beegfs" | "panfs" | "pvfs2" | "orangefs" | "afs" | "cifs" | "smb3" | "vboxsf" => {
            true
        }
        // Those that are known to ask their servers.
        "fuse.glusterfs" | "fuse.ceph" | "fuse.ceph-fuse" | "fuse.juicefs" => false,
        other => other.starts_with("fuse."),
    };
    local.then(|| format!("locks on files may hold on one node alone on this file system ({kind})"))
}

/// Who has a lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Owner {
    host: Host,
    process: u32,
    /// When the process began, in the system's own count: numbers of processes come again.
    began: u64,
    /// Nobody else's.
    token: String,
}

/// Where processes are told apart by their numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Host {
    name: String,
    boot: String,
    /// Containers of one machine have numbers of their own.
    space: String,
}

impl Host {
    fn here() -> Self {
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let space = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            name: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            space: space.to_string_lossy().into_owned(),
        }
    }
}

/// When a process began, if it is there and the system tells.
fn began(process: u32) -> Option<u64> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything.
    line.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

impl Owner {
    fn here() -> Self {
        let process = std::process::id();
        Self {
            host: Host::here(),
            process,
            began: began(process).unwrap_or_default(),
            token: unique("lease"),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    }

    /// Whether its process is gone; `None` of another machine.
    fn is_gone(&self) -> Option<bool> {
        let known = !self.host.boot.is_empty() && self.host == Host::here();
        known.then(|| began(self.process) != Some(self.began))
    }
}

/// A name that nobody else makes.
fn unique(start: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map(|d| d.as_nanos()).unwrap_or_default();
    let host = Host::here();
    let key = format!("{}{}{now}", host.name, host.boot);
    let hash = blake3::hash(key.as_bytes()).to_hex();
    format!("{start}-{}-{count}-{}", std::process::id(), &hash[..16])
}

/// A lease that is held until it is dropped.
#[derive(Debug)]
pub struct Lease {
    owner: PathBuf,
    token: String,
    beat: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

/// The file whose name the owner's has.
fn owner_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".owner");
    name.into()
}

/// A file of ours that is linked to the name of a lease, gone when it is dropped.
struct Claim {
    path: PathBuf,
    file: File,
    token: String,
}

impl Claim {
    fn new(owner: &Path) -> Result<Self, FileError> {
        let this = Owner::here();
        let path = owner.with_file_name(unique(".lease"));
        let mut options = OpenOptions::new();
        let file = options.create_new(true).write(true).open(&path);
        let mut claim = Self {
            file: file.map_err(failed("open", &path))?,
            path,
            token: this.token.clone(),
        };
        let text = serde_json::to_string(&this).unwrap_or_default() + "\n";
        let written = claim.file.write_all(text.as_bytes());
        let written = written.and_then(|()| claim.file.sync_all());
        written.map_err(failed("write", &claim.path))?;
        Ok(claim)
    }

    /// Whether the lease is ours now.
    fn link(&self, owner: &Path) -> Result<bool, FileError> {
        match fs::hard_link(&self.path, owner) {
            Ok(()) => Ok(true),
            // An answer of the server that is lost is asked for again, so that the name may be ours.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Ok(Owner::read(owner).is_some_and(|found| found.token == self.token))
            }
            Err(e) => Err(failed("link", owner)(e)),
        }
    }

    /// How long ago a file was written, by the server's clock.
    fn age_of(&mut self, other: &Path) -> Option<Duration> {
        self.file.write_all(b".").ok()?;
        self.file.sync_all().ok()?;
        let now = fs::metadata(&self.path).ok()?.modified().ok()?;
        let then = fs::metadata(other).ok()?.modified().ok()?;
        Some(now.duration_since(then).unwrap_or_default())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Lease {
    /// Takes the lease at `path`, waiting up to `patience`; `None` = another has it.
    ///
    /// # Errors
    /// When files cannot be made there.
    pub fn take(path: &Path, patience: Duration) -> Result<Option<Self>, FileError> {
        let owner = owner_of(path);
        files::no_link(&owner)?;
        let mut claim = Claim::new(&owner)?;
        let begun = Instant::now();
        loop {
            if claim.link(&owner)? {
                return Ok(Some(Self::held(owner, &claim)?));
            }
            if is_dead(&owner, &mut claim) {
                take_away(&owner, &mut claim)?;
                continue;
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn held(owner: PathBuf, claim: &Claim) -> Result<Self, FileError> {
        let mut file = claim.file.try_clone().map_err(failed("open", &owner))?;
        let (stop, stopped) = mpsc::channel();
        let pause = bound() / 10;
        let beat = std::thread::spawn(move || {
            while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                // A beat that is lost is no end: nine more fit into the bound.
                let _ = file.write_all(b".").and_then(|()| file.sync_all());
            }
        });
        Ok(Self {
            owner,
            token: claim.token.clone(),
            beat: Some((stop, beat)),
        })
    }

    /// Whether somebody has the lease at `path`.
    pub fn is_held(path: &Path) -> bool {
        let owner = owner_of(path);
        let Some(found) = Owner::read(&owner) else {
            return false;
        };
        match found.is_gone() {
            Some(gone) => !gone,
            // Nothing is written by who only looks, so the clock is ours.
            None => {
                let then = fs::metadata(&owner).and_then(|m| m.modified()).ok();
                let age = then.and_then(|then| SystemTime::now().duration_since(then).ok());
                age.is_none_or(|age| age < bound())
            }
        }
    }
}

/// Whether the owner of a lease is gone for good.
fn is_dead(owner: &Path, claim: &mut Claim) -> bool {
    let Some(found) = Owner::read(owner) else {
        // It was given back, or is of a write that never ended.
        return claim.age_of(owner).is_some_and(|age| age >= bound());
    };
    match found.is_gone() {
        Some(gone) => gone,
        None => claim.age_of(owner).is_some_and(|age| age >= bound()),
    }
}

/// Takes a lease from a dead owner. One does at a time, so that nobody takes it from who has just come.
fn take_away(owner: &Path, claim: &mut Claim) -> Result<(), FileError> {
    let mut name = owner.as_os_str().to_owned();
    name.push(".taken");
    let taken = PathBuf::from(name);
    if claim.link(&taken)? {
        if is_dead(owner, claim) {
            remove(owner)?;
        }
        remove(&taken)?;
    } else if is_dead(&taken, claim) {
        remove(&taken)?;
    } else {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((stop, beat)) = self.beat.take() {
            drop(stop);
            let _ = beat.join();
        }
        // Another may have taken it from us, after a sleep longer than the bound.
        if Owner::read(&self.owner).is_some_and(|found| found.token == self.token) {
            let _ = fs::remove_file(&self.owner);
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn put(owner: &Path, found: &Owner, age: Duration) {
        fs::write(owner, serde_json::to_string(found).unwrap() + "\n").unwrap();
        let file = OpenOptions::new().write(true).open(owner).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn a_lease_is_of_one_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        assert!(!Lease::is_held(&path));
        let held = Lease::take(&path, Duration::ZERO).unwrap().unwrap();
        assert!(Lease::is_held(&path));
        assert!(
            Lease::take(&path, Duration::from_millis(100))
                .unwrap()
                .is_none()
        );
        drop(held);
        assert!(Lease::take(&path, Duration::ZERO).unwrap().is_some());
        assert_eq!(files::names(dir.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn one_of_many_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        // Left by a process of this machine that is gone: all want to take it over.
        let dead = Owner {
            began: 1,
            ..Owner::here()
        };
        put(&owner_of(&path), &dead, Duration::ZERO);
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let held = Lease::take(&path, Duration::from_secs(60)).unwrap();
                        assert!(held.is_some());
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::sleep(Duration::from_millis(2));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(files::names(dir.path()).unwrap(), [""; 0]);
    }

    #[test]
    fn another_nodes_lease_is_taken_over_after_the_bound_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let mut there = Owner::here();
        there.host.name = "elsewhere".into();
        put(&owner_of(&path), &there, bound() / 2);
        assert!(Lease::is_held(&path));
        assert!(Lease::take(&path, Duration::ZERO).unwrap().is_none());
        put(&owner_of(&path), &there, bound() + Duration::from_secs(1));
        assert!(!Lease::is_held(&path));
        assert!(Lease::take(&path, Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn file_systems_are_told_by_how_they_are_mounted() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 22 0:40 / /home rw,relatime - nfs4 server:/home rw,local_lock=none\n\
                      31 22 0:41 / /scratch rw - lustre mds@tcp:/fs rw,localflock\n\
                      32 22 0:42 / /fast rw - lustre mds@tcp:/fs rw,flock\n\
                      33 22 0:43 / /my\\040data rw - gpfs fs rw\n\
                      34 22 0:44 / /mnt rw - nfs server:/mnt rw,nolock,local_lock=all\n\
                      35 22 0:45 / /ssh rw - fuse.sshfs me@host: rw\n";
        let local = |dir: &str| of_mount(mounts, Path::new(dir)).is_some();
        for dir in ["/scratch/me", "/my data/x", "/mnt", "/ssh/a"] {
            assert!(local(dir), "{dir}");
        }
        for dir in ["/root", "/home/me/runs", "/fast/x", "/mnt2"] {
            assert!(!local(dir), "{dir}");
        }
    }

    #[test]
    fn locks_hold_here() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(broken(dir.path()).unwrap(), None);
        assert_eq!(files::names(dir.path()).unwrap(), [""; 0]);
    }
}
