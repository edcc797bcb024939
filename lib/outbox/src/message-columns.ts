/** The columns of a message in each of the tables that hold some, but for its place and its times. */
export const messageColumns = 'message_id, exchange, routing_key, ordering_key, headers, payload, bytes'
