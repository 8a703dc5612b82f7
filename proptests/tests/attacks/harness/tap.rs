//! Somebody on the network: passes bytes on, keeps them, and may change what the server says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Change = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// A wire that is listened to.
pub(crate) struct Tap {
    pub(crate) place: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// What clients have said, and what the server.
    heard: [Mutex<Vec<u8>>; 2],
    change: Mutex<Change>,
    is_over: AtomicBool,
}

impl Tap {
    pub(crate) fn on(server: SocketAddr) -> Self {
        Self::that_changes(server, |_| ())
    }

    /// Changes the pieces that come from the server.
    pub(crate) fn that_changes(
        server: SocketAddr,
        change: impl FnMut(&mut Vec<u8>) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let heard = [Mutex::default(), Mutex::default()];
        let shared =
            Arc::new(Shared { heard, change: Mutex::new(Box::new(change)), is_over: AtomicBool::new(false) });
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if all.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                for (which, from, to) in [(0, &client, &server), (1, &server, &client)] {
                    let shared = Arc::clone(&all);
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    std::thread::spawn(move || shared.pass_on(which, from, to));
                }
            }
        });
        Self { place, shared }
    }

    /// What clients have said.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.shared.heard[0].lock().unwrap().clone()
    }

    /// Everything that went by.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.shared.heard.iter().flat_map(|heard| heard.lock().unwrap().clone()).collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.place);
    }
}

impl Shared {
    fn pass_on(&self, which: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let mut piece = buffer[..read].to_vec();
            self.heard[which].lock().unwrap().extend_from_slice(&piece);
            if which == 1 {
                (self.change.lock().unwrap())(&mut piece);
            }
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
