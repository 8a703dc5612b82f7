//! Bytes through loopback: to nobody, to a file, and from a file.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::place::Place;
use crate::record::Record;

/// Bytes of a read or write where only bandwidth counts, and where a file is at one end.
const BUFFER: usize = 64 * 1024;
const FILE_BUFFER: usize = 256 * 1024;

/// A million bytes.
pub const MB: f64 = 1_000_000.0;

/// How fast bytes pass that nobody looks at.
///
/// # Errors
/// Those of the network.
pub fn bandwidth(length: Duration) -> Result<Record> {
    let (mut sender, mut receiver) = pair()?;
    let sending = thread::spawn(move || -> std::io::Result<()> {
        let bytes = vec![0x5a; BUFFER];
        let began = Instant::now();
        while began.elapsed() < length {
            sender.write_all(&bytes)?;
        }
        Ok(())
    });
    let began = Instant::now();
    let mut bytes = vec![0; BUFFER];
    let mut passed = 0;
    loop {
        match receiver.read(&mut bytes)? {
            0 => break,
            read => passed += read,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    sending.join().map_err(|_| anyhow!("the sending thread failed"))??;
    Ok(Record::new("loopback").with("MB a second", passed as f64 / MB / seconds))
}

/// A plain copy: so many bytes through loopback into a file on the data's disk, which is then synced; and the file's
/// bytes back through loopback to nobody.
///
/// # Errors
/// Those of the network and the disk.
pub fn copy(place: &Place, size: u64) -> Result<Record> {
    let directory = place.directory()?;
    let path = directory.path().join("copied");
    let began = Instant::now();
    let (mut sender, mut receiver) = pair()?;
    let sending = thread::spawn(move || -> std::io::Result<()> {
        let bytes = vec![0x5a; FILE_BUFFER];
        let mut left = size;
        while left > 0 {
            let piece = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            sender.write_all(&bytes[..piece])?;
            left -= piece as u64;
        }
        Ok(())
    });
    let mut file = File::create(&path)?;
    let copied = pass(&mut receiver, &mut file)?;
    file.sync_all()?;
    let up = copied as f64 / MB / began.elapsed().as_secs_f64();
    sending.join().map_err(|_| anyhow!("the sending thread failed"))??;

    let began = Instant::now();
    let (mut sender, mut receiver) = pair()?;
    let mut file = File::open(&path)?;
    let sending = thread::spawn(move || pass(&mut file, &mut sender));
    let copied = pass(&mut receiver, &mut std::io::sink())?;
    let down = copied as f64 / MB / began.elapsed().as_secs_f64();
    sending.join().map_err(|_| anyhow!("the sending thread failed"))??;
    Ok(Record::new("copy").with("up MB a second", up).with("down MB a second", down))
}

/// Passes everything on, with plain reads and writes; `std::io::copy` would let the kernel do it.
fn pass(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<u64> {
    let mut bytes = vec![0; FILE_BUFFER];
    let mut passed = 0;
    loop {
        let read = from.read(&mut bytes)?;
        if read == 0 {
            return Ok(passed);
        }
        to.write_all(&bytes[..read])?;
        passed += read as u64;
    }
}

fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    Ok((sender, receiver))
}
