//! A connection that is refused, with a reason.

use async_std::future::timeout;
use futures::{AsyncReadExt, AsyncWriteExt, io};

use crate::limits::{LINGER_BYTES, REFUSAL_LIMIT};
use crate::net::transport::Transport;
use crate::protocol::{Refusal, Reply};

/// Tells a connection why it cannot come in, and closes it.
pub(crate) async fn turn_away(mut transport: Transport, refusal: &Refusal) {
    let telling = async {
        let line = format!("{}\n", Reply::Refused(refusal));
        transport.write_all(line.as_bytes()).await?;
        transport.close().await?;
        // What it has sent is read, or closing would destroy what it has yet to read.
        io::copy((&mut transport).take(LINGER_BYTES as u64), &mut io::sink()).await
    };
    // Nobody waits for the outcome; the connection is closed in any case.
    let _ = timeout(REFUSAL_LIMIT, telling).await;
}
