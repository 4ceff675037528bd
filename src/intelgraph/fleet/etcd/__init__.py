"""Members of etcd: how each is run, how each site reaches them, what each says of itself."""
