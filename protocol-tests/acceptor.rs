//! A listener whose connections the test serves itself, each on a thread of its own.
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Accepts until it is dropped.
pub(crate) struct Acceptor {
    pub(crate) address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Serves every connection with what `meet` makes of its number. `is_over` is set at the end, for those that wait.
    pub(crate) fn start<S: FnOnce(TcpStream) + Send + 'static>(
        listener: TcpListener,
        is_over: &Arc<AtomicBool>,
        meet: impl Fn(usize) -> S + Send + 'static,
    ) -> Acceptor {
        let address = listener.local_addr().unwrap();
        let (is_over, ends) = (Arc::clone(is_over), Arc::clone(is_over));
        let accept = move || {
            for (number, stream) in listener.incoming().enumerate() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let serve = meet(number);
                thread::spawn(move || serve(stream.unwrap()));
            }
        };
        Acceptor { address, is_over, thread: Some(thread::spawn(accept)) }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
