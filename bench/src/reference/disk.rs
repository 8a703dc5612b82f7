//! The disk: small appends, each waited for.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::place::Place;
use crate::record::Record;
use crate::statistics::Times;

/// Bytes of an append: a page.
const PAGE: usize = 4_096;

/// Appends of a page with `fdatasync`, one after the other.
///
/// # Errors
/// Those of the disk.
pub fn syncs(place: &Place, length: Duration) -> Result<Record> {
    let directory = place.directory()?;
    let mut file = std::fs::File::create(directory.path().join("appended"))?;
    let mut times = Times::default();
    let began = Instant::now();
    while began.elapsed() < length {
        let before = Instant::now();
        file.write_all(&[0x5a; PAGE])?;
        file.sync_data()?;
        times.note(before.elapsed(), 1);
    }
    let a_second = times.count() as f64 / began.elapsed().as_secs_f64();
    Ok(Record::new("fdatasync").with("a second", a_second).with_times("", &times))
}
