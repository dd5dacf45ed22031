import '@starfederation/datastar/bundles/datastar';
