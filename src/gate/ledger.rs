//! What all gates of a registry have taken of a day's budget: one small file a day (UTC), a row of 128 bytes a run, each
//! written by that run's gate alone. Whoever writes holds the file's lock, so that gates that run at once do not pass a
//! ceiling together.
//!
//! The records stay the truth: a gate that starts counts its own row anew from them. A row is in the page cache when the
//! lock is let go, and on the disk a moment later; a power cut may cost the newest counts of runs whose gates do not
//! start again that day, and no others.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::run::id::{Digest, RunId};

/// The size of a row: the run's name as a digest, three numbers of twenty digits, and what stands between. It divides a
/// page, so that no row is ever half on the disk.
const ROW: usize = 128;
/// The most runs of a day.
const MOST_ROWS: usize = 65_536;
/// How often the lock is tried for, with a millisecond between.
const TRIES: u32 = 2000;
const PAUSE: Duration = Duration::from_millis(1);

/// What was taken: requests, tokens, and money in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    pub(crate) money: u64,
}

impl Sums {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            money: self.money.saturating_add(other.money),
        }
    }
}

/// One gate's part in the ledger.
pub(crate) struct Ledger {
    folder: PathBuf,
    /// The name of this run's rows.
    name: Digest,
    day: Mutex<Option<Day>>,
    /// Something is not on the disk yet, or not in the file.
    behind: AtomicBool,
}

/// The file of a day.
struct Day {
    date: NaiveDate,
    file: Arc<File>,
    /// Where this run's row is, once it has one.
    row: Option<u64>,
    own: Sums,
}

/// Leave for one request of a day; given back if the request does not get on record.
pub(crate) struct DayTurn {
    ledger: Arc<Ledger>,
    date: NaiveDate,
    spent: bool,
}

impl DayTurn {
    /// The request is on record: it counts.
    pub(crate) fn spend(mut self) {
        self.spent = true;
    }
}

impl Drop for DayTurn {
    fn drop(&mut self) {
        if !self.spent {
            self.ledger.give_back(self.date);
        }
    }
}

impl Ledger {
    /// Where all gates of the registry count together.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn new(folder: &Path, run: &RunId) -> Arc<Self> {
        let name = Digest::of(run.as_str().as_bytes());
        Arc::new(Self { folder: folder.to_owned(), name, day: Mutex::new(None), behind: AtomicBool::new(false) })
    }

    /// What was taken today by all runs; `own` is what the records say that this one has.
    ///
    /// # Errors
    /// When the file cannot be read or written, or somebody keeps its lock.
    pub(crate) async fn look(&self, today: NaiveDate, own: Sums) -> io::Result<Sums> {
        self.locked(today, own, |_, _| ()).await.map(|(total, ())| total)
    }

    /// One more request, unless all runs together have made `ceiling` today.
    ///
    /// # Errors
    /// As [`Ledger::look`].
    pub(crate) async fn take(
        self: &Arc<Self>,
        today: NaiveDate,
        own: Sums,
        ceiling: Option<u64>,
    ) -> io::Result<Option<DayTurn>> {
        let count = |own: &mut Sums, total: Sums| {
            let room = ceiling.is_none_or(|ceiling| total.requests < ceiling);
            own.requests += u64::from(room);
            room
        };
        let (_, room) = self.locked(today, own, count).await?;
        Ok(room.then(|| DayTurn { ledger: self.clone(), date: today, spent: false }))
    }

    /// Puts what the records say now where the other gates see it; at the next [`Ledger::settle`] if that is not possible
    /// now.
    pub(crate) fn publish(&self, today: NaiveDate, own: Sums) {
        if self.update(today, Some(own), |_, _| ()).is_err() {
            self.behind.store(true, Ordering::Release);
        }
    }

    /// Puts on the disk what is not there yet.
    pub(crate) async fn settle(&self, own: impl FnOnce(NaiveDate) -> Option<Sums>) {
        if !self.behind.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some((date, file)) = self.lock().as_ref().map(|day| (day.date, day.file.clone())) else { return };
        let written = self.update(date, own(date), |_, _| ()).is_ok();
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        self.behind.store(!(written && matches!(synced, Ok(Ok(())))), Ordering::Release);
    }

    fn give_back(&self, date: NaiveDate) {
        let mut known = self.lock();
        let Some(day) = known.as_mut().filter(|day| day.date == date) else { return };
        day.own.requests = day.own.requests.saturating_sub(1);
        drop(known);
        self.behind.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Day>> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn locked<T>(
        &self,
        today: NaiveDate,
        own: Sums,
        mut change: impl FnMut(&mut Sums, Sums) -> T,
    ) -> io::Result<(Sums, T)> {
        for _ in 0..TRIES {
            match self.update(today, Some(own), &mut change) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another gate keeps its lock"))
    }

    /// Under the file's lock: takes up `own` where it is known, lets `change` look at all there is and count in this run's row, writes the
    /// row. Never waits; the total is that before the change.
    ///
    /// # Errors
    /// `WouldBlock` while another gate writes.
    fn update<T>(
        &self,
        today: NaiveDate,
        own: Option<Sums>,
        change: impl FnOnce(&mut Sums, Sums) -> T,
    ) -> io::Result<(Sums, T)> {
        let mut known = self.lock();
        if known.as_ref().is_none_or(|day| day.date < today) {
            // Requests are counted here from now on, when they are let through, and no longer where they are recorded.
            let file = Arc::new(open(&self.folder, today)?);
            *known = Some(Day { date: today, file, row: None, own: own.unwrap_or_default() });
        }
        let Some(day) = known.as_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        if let Some(own) = own {
            (day.own.tokens, day.own.money) = (own.tokens, own.money);
        }
        day.file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            std::fs::TryLockError::Error(error) => error,
        })?;
        let done = day.write(&self.name, change);
        let unlocked = day.file.unlock();
        self.behind.store(true, Ordering::Release);
        let done = done?;
        unlocked.map(|()| done)
    }
}

impl Day {
    fn write<T>(&mut self, name: &Digest, change: impl FnOnce(&mut Sums, Sums) -> T) -> io::Result<(Sums, T)> {
        let bytes = rows(&self.file)?;
        let (mut others, mut row) = (Sums::default(), self.row);
        let end = sums_of(&bytes, |at, whose, sums| match whose == name.as_str() {
            true => row = Some(at),
            false => others = others.and(sums),
        })?;
        self.row = row;
        let total = others.and(self.own);
        let changed = change(&mut self.own, total);
        self.file.write_all_at(&write_row(name, self.own), *self.row.get_or_insert(end))?;
        Ok((total, changed))
    }
}

/// What is wrong with the files of `folder`: a name and a reason each, the oldest day first.
///
/// # Errors
/// When the folder cannot be read; one that is not there holds nothing.
pub(crate) fn damaged(folder: &Path) -> io::Result<Vec<(String, String)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut found = Vec::new();
    for name in names {
        // No gate opens others.
        let Some(date) = name.to_str().and_then(|name| name.parse::<NaiveDate>().ok()) else { continue };
        let looked = open(folder, date).and_then(|file| rows(&file)).and_then(|bytes| sums_of(&bytes, |_, _, _| ()));
        if let Err(error) = looked {
            found.push((date.to_string(), error.to_string()));
        }
    }
    Ok(found)
}

/// Tells `each` of every row: where it is, whose, and what was taken. The end of the rows.
///
/// # Errors
/// `InvalidData` for a row that no gate writes.
fn sums_of(bytes: &[u8], mut each: impl FnMut(u64, &str, Sums)) -> io::Result<u64> {
    let mut end = 0_u64;
    for (at, row) in (0_u64..).step_by(ROW).zip(bytes.chunks_exact(ROW)) {
        end = at + ROW as u64;
        match read_row(row) {
            Some((whose, sums)) => each(at, whose, sums),
            // A file system may leave zeros where a power cut kept a row from the disk.
            None if row.iter().all(|byte| *byte == 0) => {}
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the row at {at} is damaged"))),
        }
    }
    Ok(end)
}

fn open(folder: &Path, date: NaiveDate) -> io::Result<File> {
    let path = folder.join(date.to_string());
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let open = |new: bool| {
        OpenOptions::new().read(true).write(true).create_new(new).mode(0o600).custom_flags(flags).open(&path)
    };
    let file = match open(false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match open(true) {
            Ok(file) => {
                // Gates may have a user each. Nobody else gets into the folder.
                file.set_permissions(std::fs::Permissions::from_mode(0o666))?;
                super::durable::sync_folder(folder)?;
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(false)?,
            Err(error) => return Err(error),
        },
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// All whole rows.
fn rows(file: &File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size / ROW > MOST_ROWS {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MOST_ROWS} runs")));
    }
    let mut bytes = vec![0; size / ROW * ROW];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn write_row(name: &Digest, sums: Sums) -> Vec<u8> {
    let Sums { requests, tokens, money } = sums;
    format!("{name} {requests:020} {tokens:020} {money:020}\n").into_bytes()
}

fn read_row(row: &[u8]) -> Option<(&str, Sums)> {
    let mut fields = std::str::from_utf8(row).ok()?.strip_suffix('\n')?.split(' ');
    let name = fields.next().filter(|name| name.len() == 64)?;
    let mut number = || fields.next()?.parse::<u64>().ok();
    let sums = Sums { requests: number()?, tokens: number()?, money: number()? };
    fields.next().is_none().then_some((name, sums))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    fn ledger(folder: &tempfile::TempDir, run: &str) -> Arc<Ledger> {
        Ledger::new(folder.path(), &RunId::parse(run).unwrap())
    }

    fn sums(requests: u64, tokens: u64, money: u64) -> Sums {
        Sums { requests, tokens, money }
    }

    #[tokio::test]
    async fn all_runs_of_a_day_count_together_and_a_new_day_begins_with_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (ledger(&folder, "one"), ledger(&folder, "two"));
        assert_eq!(one.look(day(1), sums(2, 30, 5)).await.unwrap(), sums(2, 30, 5));
        assert_eq!(two.look(day(1), sums(1, 7, 0)).await.unwrap(), sums(3, 37, 5));
        one.publish(day(1), sums(2, 31, 6));
        assert_eq!(two.look(day(1), sums(1, 8, 0)).await.unwrap(), sums(3, 39, 6));
        assert_eq!(two.look(day(2), sums(0, 1, 0)).await.unwrap(), sums(0, 1, 0));
        assert_eq!(std::fs::metadata(folder.path().join("2026-11-01")).unwrap().len(), 2 * ROW as u64);
    }

    #[tokio::test]
    async fn requests_stop_at_the_ceiling_and_what_is_given_back_is_there_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (ledger(&folder, "one"), ledger(&folder, "two"));
        let nothing = Sums::default();
        one.take(day(1), nothing, Some(2)).await.unwrap().unwrap().spend();
        let second = two.take(day(1), nothing, Some(2)).await.unwrap();
        assert!(second.is_some());
        assert!(one.take(day(1), nothing, Some(2)).await.unwrap().is_none());
        drop(second);
        two.settle(|_| None).await;
        one.take(day(1), nothing, Some(2)).await.unwrap().unwrap().spend();
        assert!(two.take(day(1), nothing, Some(2)).await.unwrap().is_none());
        assert!(two.take(day(2), nothing, Some(2)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_gate_that_starts_goes_on_from_its_records_and_not_from_what_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        ledger(&folder, "one").look(day(1), sums(9, 90, 900)).await.unwrap();
        let again = ledger(&folder, "one");
        assert_eq!(again.look(day(1), sums(8, 80, 800)).await.unwrap(), sums(8, 80, 800));
    }

    #[test]
    fn many_gates_at_once_do_not_pass_a_ceiling_together() {
        const CEILING: u64 = 500;
        let folder = tempfile::tempdir().unwrap();
        let taken: u64 = std::thread::scope(|scope| {
            let gates: Vec<_> = (0..10)
                .map(|number| {
                    let ledger = ledger(&folder, &format!("run-{number}"));
                    scope.spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(async {
                            let mut taken = 0;
                            while let Some(turn) = ledger.take(day(1), Sums::default(), Some(CEILING)).await.unwrap() {
                                turn.spend();
                                taken += 1;
                            }
                            taken
                        })
                    })
                })
                .collect();
            gates.into_iter().map(|gate| gate.join().unwrap()).sum()
        });
        assert_eq!(taken, CEILING);
    }

    #[tokio::test]
    async fn what_is_damaged_is_refused_and_what_a_power_cut_left_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-11-01");
        ledger(&folder, "one").look(day(1), sums(1, 2, 3)).await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend([0; ROW]);
        bytes.extend(b"half a row");
        std::fs::write(&path, &bytes).unwrap();
        let total = ledger(&folder, "two").look(day(1), sums(1, 1, 1)).await.unwrap();
        assert_eq!(total, sums(2, 3, 4));
        bytes[70] = b'x';
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(
            ledger(&folder, "two").look(day(1), sums(1, 1, 1)).await.unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        std::fs::write(folder.path().join("2026-11-02"), "").unwrap();
        std::fs::write(folder.path().join("of nobody"), "x".repeat(ROW)).unwrap();
        let found = damaged(folder.path()).unwrap();
        assert_eq!(found, [("2026-11-01".to_owned(), "the row at 0 is damaged".to_owned())]);
        assert!(damaged(&folder.path().join("none")).unwrap().is_empty());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert!(ledger(&folder, "two").look(day(1), sums(1, 1, 1)).await.is_err());
    }
}
