//! Errors, as clause 5.5.2 names them and clause 6.3.2 gives them a status.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// An error type of NGSI-LD, or of HTTP where NGSI-LD has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    BadRequestData,
    AlreadyExists,
    OperationNotSupported,
    ResourceNotFound,
    TooComplexQuery,
    TooManyResults,
    LdContextNotAvailable,
    NoMultiTenantSupport,
    /// With the methods that the resource has.
    MethodNotAllowed(&'static str),
    NotAcceptable,
    UnsupportedMediaType,
    NoRoom,
    NotStored,
}

/// What is answered if something is wrong: ProblemDetails (RFC 7807).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
}

pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// What was sent does not follow the data model.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequestData, detail)
    }

    /// The same, whether it is not there or may not be seen.
    pub(crate) fn not_found() -> Self {
        Self::new(Kind::ResourceNotFound, "there is no such resource")
    }

    pub(crate) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(Kind::OperationNotSupported, detail)
    }

    pub(crate) fn too_complex(detail: impl Into<String>) -> Self {
        Self::new(Kind::TooComplexQuery, detail)
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.kind {
            Kind::InvalidRequest | Kind::BadRequestData => StatusCode::BAD_REQUEST,
            Kind::AlreadyExists => StatusCode::CONFLICT,
            Kind::OperationNotSupported => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::ResourceNotFound => StatusCode::NOT_FOUND,
            Kind::TooComplexQuery | Kind::TooManyResults => StatusCode::FORBIDDEN,
            Kind::LdContextNotAvailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::NoMultiTenantSupport => StatusCode::NOT_IMPLEMENTED,
            Kind::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Kind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            Kind::NotStored => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let (name, title) = match self.kind {
            Kind::InvalidRequest => ("InvalidRequest", "The request is invalid"),
            Kind::BadRequestData => {
                ("BadRequestData", "The request has data that does not follow the specification")
            }
            Kind::AlreadyExists => ("AlreadyExists", "The element exists already"),
            Kind::OperationNotSupported => ("OperationNotSupported", "The operation is not supported"),
            Kind::ResourceNotFound => ("ResourceNotFound", "The resource was not found"),
            Kind::TooComplexQuery => ("TooComplexQuery", "The query is too complex"),
            Kind::TooManyResults => ("TooManyResults", "The query would have too many results"),
            Kind::LdContextNotAvailable => ("LdContextNotAvailable", "The @context is not available"),
            Kind::NoMultiTenantSupport => ("NoMultiTenantSupport", "There are no tenants"),
            Kind::MethodNotAllowed(_) => ("", "The resource has no such method"),
            Kind::NotAcceptable => ("", "No acceptable representation"),
            Kind::UnsupportedMediaType => ("", "The media type is not supported"),
            Kind::NoRoom => ("", "There is no room for more"),
            Kind::NotStored => ("", "It was not stored"),
        };
        let kind = match name {
            "" => "about:blank".to_owned(),
            name => format!("https://uri.etsi.org/ngsi-ld/errors/{name}"),
        };
        details(&kind, title, self.status(), &self.detail)
    }

    pub(crate) fn to_response(&self) -> Response<Vec<u8>> {
        let mut response = response(self.status(), &self.to_json());
        match self.kind {
            Kind::MethodNotAllowed(methods) => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
            }
            // Clause 6.3.4: just the status.
            Kind::UnsupportedMediaType => return bare(self.status()),
            _ => {}
        }
        response
    }
}

fn details(kind: &str, title: &str, status: StatusCode, detail: &str) -> Value {
    json!({ "type": kind, "title": title, "status": status.as_u16(), "detail": detail })
}

fn response(status: StatusCode, details: &Value) -> Response<Vec<u8>> {
    let mut response = Response::new(details.to_string().into_bytes());
    *response.status_mut() = status;
    // Clause 5.5.3: and not the media type of RFC 7807, which older clients do not know.
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An answer that is a status alone, as clause 6.3.4 has some.
#[must_use]
pub fn bare(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    response
}

/// What is answered, as ProblemDetails, to a request that does not come as far as the [broker](crate::Broker).
#[must_use]
pub fn refused(status: StatusCode, detail: &str) -> Response<Vec<u8>> {
    let title = status.canonical_reason().unwrap_or_default();
    response(status, &details("about:blank", title, status, detail))
}
