"""The BAM as software sees it: pipes of descriptors and the power lines, in plain memory."""
