"""Which settings of PostgreSQL a topology file may not give, and why. Pure.

A promise stands on each of them: it would be void, silently, with another value. What is only about speed and size may
be set; whether PostgreSQL knows it is PostgreSQL's to say. The names were gone through by category, from PostgreSQL
18's ``--describe-config`` and its list of developer options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REASONS: Mapping[str, str] = {
    "an acknowledged write would not be on disk, or be lost in a crash": """
        fsync synchronous_commit full_page_writes wal_sync_method data_sync_retry recovery_init_sync_method
        zero_damaged_pages ignore_checksum_failure ignore_invalid_pages ignore_system_indexes debug_io_direct""",
    "the log leaves by logical replication, row by row, and stops or breaks without it": """
        wal_level max_wal_senders max_replication_slots max_active_replication_origins
        max_logical_replication_workers max_worker_processes idle_replication_slot_timeout synchronized_standby_slots
        sync_replication_slots wal_receiver_status_interval wal_sender_timeout wal_receiver_timeout
        wal_retrieve_retry_interval tcp_user_timeout wal_writer_delay wal_writer_flush_after session_replication_role
        debug_logical_replication_streaming output_plugin_libraries event_triggers""",
    "which copy a write waits for is decided by its placement's standby": "synchronous_standby_names",
    "a region's database is nobody's physical standby and is not recovered from elsewhere": """
        hot_standby hot_standby_feedback primary_conninfo primary_slot_name recovery_min_apply_delay
        wal_receiver_create_temp_slot recovery_target recovery_target_action recovery_target_inclusive
        recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline recovery_target_xid""",
    "it copies tenants' data to where no placement allows it, or runs a command": """
        archive_mode archive_command archive_library archive_timeout archive_cleanup_command restore_command
        recovery_end_command ssl_passphrase_command ssl_passphrase_command_supports_reload summarize_wal
        wal_summary_keep_time""",
    "it loads code into the server that sees every tenant's data": """
        shared_preload_libraries session_preload_libraries local_preload_libraries dynamic_library_path
        extension_control_path jit_provider oauth_validator_libraries""",
    "where the server listens and whom it lets in is this machine and IntelGraph's roles alone": """
        listen_addresses port unix_socket_directories unix_socket_group unix_socket_permissions bonjour bonjour_name
        hba_file ident_file password_encryption scram_iterations md5_password_warnings authentication_timeout
        krb_server_keyfile krb_caseins_users gss_accept_delegation db_user_namespace ssl ssl_ca_file ssl_cert_file
        ssl_ciphers ssl_crl_dir ssl_crl_file ssl_dh_params_file ssl_ecdh_curve ssl_groups ssl_key_file
        ssl_max_protocol_version ssl_min_protocol_version ssl_prefer_server_ciphers ssl_tls13_ciphers
        createrole_self_grant reserved_connections superuser_reserved_connections pre_auth_delay post_auth_delay""",
    "the region's files are where its state directory has them, and are what IntelGraph writes": """
        data_directory config_file external_pid_file include include_dir include_if_exists allow_alter_system
        default_tablespace temp_tablespaces allow_in_place_tablespaces""",
    "tenants' data would reach the server's log, or the log would not be where it is read and bounded": """
        log_statement log_min_error_statement log_min_duration_statement log_min_duration_sample
        log_statement_sample_rate log_transaction_sample_rate log_parameter_max_length
        log_parameter_max_length_on_error log_error_verbosity log_duration log_statement_stats log_parser_stats
        log_planner_stats log_executor_stats debug_print_parse debug_print_plan debug_print_rewritten
        debug_pretty_print log_destination logging_collector log_directory log_filename log_file_mode
        log_rotation_age log_rotation_size log_truncate_on_rotation event_source syslog_facility syslog_ident
        syslog_sequence_numbers syslog_split_messages log_line_prefix log_timezone log_hostname log_min_messages
        log_replication_commands client_min_messages backtrace_functions trace_notify trace_sort trace_locks
        trace_lwlocks trace_userlocks trace_lock_oidmin trace_lock_table wal_debug""",
    "it makes bytes unfindable for the search that proves where a tenant's data is": """
        wal_compression default_toast_compression""",
    "each row belongs to one tenant by row-level security and by its function's own search_path": """
        row_security search_path check_function_bodies allow_system_table_mods""",
    "IntelGraph's statements are written for PostgreSQL's own value": """
        standard_conforming_strings escape_string_warning backslash_quote array_nulls transform_null_equals
        quote_all_identifiers lo_compat_privileges bytea_output extra_float_digits datestyle intervalstyle timezone
        timezone_abbreviations client_encoding xmlbinary xmloption default_text_search_config
        default_transaction_isolation default_transaction_read_only default_transaction_deferrable
        default_table_access_method exit_on_error statement_timeout transaction_timeout lock_timeout
        idle_in_transaction_session_timeout idle_session_timeout enable_seqscan track_commit_timestamp
        debug_discard_caches debug_parallel_query wal_consistency_checking""",
    "a server that ends its sessions must come back, clean, by itself": """
        restart_after_crash remove_temp_files_after_crash send_abort_for_crash send_abort_for_kill""",
    "without it old rows are never removed and the server stops at last": "autovacuum track_counts",
}
_WHY: Mapping[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
_KEEP = "max_slot_wal_keep_size"
_NO_SIZE = re.compile(r"\s*(-|0*(\.0*)?\s*[a-zA-Z]*\s*$)")


def why_fixed(name: str, value: str) -> str | None:
    """Return why a topology file may not give a setting this value; None when it may. Case does not matter."""
    wanted = name.lower()
    if wanted == _KEEP and _NO_SIZE.match(value):
        return "what a lost region makes this one keep must have a bound above 0, or fills the disk"
    if "." in wanted:
        return "it belongs to a library, and none is loaded"
    return _WHY.get(wanted)
