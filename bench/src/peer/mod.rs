//! Other systems on the same job: a message of the same size into a queue, answered when it is there.
//!
//! Each is started here, on loopback and in a directory of its own, if it is installed; nothing that runs already is
//! touched.

pub mod mosquitto;
pub mod postgres;
pub mod python;
pub mod redis;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::Program;

/// How long a program may take until it listens.
const STARTING: Duration = Duration::from_secs(60);

/// Where a program is installed, if it is.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Where distributions put what only administrators start.
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// An address of loopback that nobody listens on now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until a program listens.
async fn listening(program: &mut Program, address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if let Some(status) = program.ended()? {
            bail!("it ended before it listened: {status}");
        }
        if began.elapsed() > STARTING {
            bail!("nobody listens on {address} after {} s", STARTING.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
