//! A socket with the bounds that some third-party implementations require.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use qoslab_testing::Socket;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that is also `Sync`, as rumqttc's and mqtt5's interfaces require. They never share it:
/// a mutex that is only locked by its owner costs nothing and cannot block.
#[derive(Debug)]
pub(crate) struct SyncSocket(Mutex<Socket>);

impl SyncSocket {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self(Mutex::new(socket))
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut Socket> {
        Pin::new(self.get_mut().0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncRead for SyncSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.socket().poll_read(cx, buf)
    }
}

impl AsyncWrite for SyncSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}
