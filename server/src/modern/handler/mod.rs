//! What the server does with a request of version 3, one file an operation. Handlers take values and give values: no bytes,
//! no sockets. Which handlers there must be is up to the wire's table of operations.

use messageu_wire::modern::{Request, Response};

use super::reason::Reason;
use super::session::Asker;

macro_rules! declare {
    (
        classic $classic:tt
        modern { $($operation:ident $module:ident $codes:tt $who:ident $meaning:literal;)* }
    ) => {
        $(mod $module;)*

        /// Does what is asked, if whoever asks may.
        pub(super) async fn handle(asker: &Asker, request: Request) -> Result<Response, Reason> {
            if request.operation().is_for_clients() {
                asker.proven()?;
            }
            match request {
                $(Request::$operation(request) => {
                    $module::handle(asker, request).await.map(Response::from)
                })*
            }
        }
    };
}

messageu_wire::operations!(declare);
