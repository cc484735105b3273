"""What tests share: networks to build, checkpoints to read, an oracle for YAML."""
