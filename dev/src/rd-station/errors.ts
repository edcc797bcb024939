type ApiError = { error_type: string; error_message: string }

const one = (error_type: string, error_message: string): { errors: ApiError } => ({
  errors: { error_type, error_message },
})

/** The error bodies of the public API, misspelling included. It has several shapes; each is here as it is documented. */
export const apiErrors = {
  unauthorized: one('UNAUTHORIZED', 'Invalid token.'),
  tokenMissing: { error: 'invalid_request', error_description: 'The access token is missing' },
  tokenExpired: { error: 'invalid_token', error_description: 'The access token is invalid or has expired' },
  wrongCredentials: one('ACCESS_DENIED', 'Wrong credentials provided.'),
  wrongRefreshToken: one('INVALID_REFRESH_TOKEN', 'The provided refresh token is invalid or was revoked.'),
  unreadableBody: one('BAD_REQUEST', 'Could not parse the body of the request according to the provided Content-Type.'),
  unsupportedBody: one(
    'UNSUPPORTED_MEDIA_TYPE',
    'The payload is in a format not supported by this method on the target resource.',
  ),
  notFound: one('RESOURCE_NOT_FOUND', "The resource couldn't be found."),
  rateLimited: one('RATE_LIMIT_EXCEDDED', 'API usage limit exceeded'),
  unavailable: one('SERVICE_UNAVAILABLE', 'Service temporarily unavailable'),
} as const

/** The errors of a request's fields: `{ errors: { page_size: [{ error_type, error_message }] } }`. */
export const fieldErrors = (fields: Record<string, ApiError[]>) => ({ errors: fields })
