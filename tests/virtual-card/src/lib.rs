//! A model of the JPKI card application, for tests.
