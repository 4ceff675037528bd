"""GraphQL over HTTP: queries, mutations, subscriptions, persisted documents, and GraphiQL."""
